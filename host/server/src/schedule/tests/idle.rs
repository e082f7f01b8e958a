//! What a connector costs that has nothing to do.

use super::*;
use futures_util::future::join_all;

#[tokio::test]
async fn ten_thousand_idle_connectors_are_one_sleep_and_one_look_in_five_minutes() {
    let options = ScheduleOptions {
        device: "branch".into(),
        ..ScheduleOptions::default()
    };
    let mut world = World::with(options, Duration::ZERO);
    world.catalogue.add_sensor("branch").await.unwrap();
    {
        let _held = world.clock.hold();
        let entries = (0..10_000).map(|number| {
            let tenant = format!("tenant-{}", number % 7);
            world
                .catalogue
                .create(entry(&tenant, &format!("c{number}"), "branch", 1440))
        });
        let ids = join_all(entries).await;
        let mut names = world.runner.names.lock().unwrap();
        names.extend(ids.into_iter().map(|id| (id.unwrap(), "c".to_owned())));
    }
    world.up();
    world.until(60).await;
    assert_eq!(world.runs().len(), 10_000);
    let statuses = world.catalogue.statuses(&StatusFilter::default()).unwrap();
    assert!(
        statuses
            .values()
            .all(|status| status.state == State::Healthy)
    );
    let (looks, reads) = world.schedule.tally();
    world.until(3660).await;
    let (looks_later, reads_later) = world.schedule.tally();
    assert_eq!(
        (looks_later - looks, reads_later - reads),
        (12, 12),
        "in an hour"
    );
    assert_eq!(world.runs(), []);
    // One that changes is one row.
    let (name, id) = (
        "tenant-0/c0",
        world.catalogue.connector("tenant-0/c0").unwrap().id,
    );
    world.switch(name, &id, false).await;
    world.until(3661).await;
    let (_, reads_last) = world.schedule.tally();
    assert_eq!(reads_last - reads_later, 1);
    world.down().await;
}

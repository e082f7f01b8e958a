//! Slots: how many run at the same time, whose turn it is, and how it all ends.

use super::*;

fn two_slots() -> ScheduleOptions {
    ScheduleOptions {
        concurrent_runs: 2,
        ..ScheduleOptions::default()
    }
}

#[tokio::test]
async fn slots_are_bounded_and_shared_between_tenants_and_a_person_comes_first() {
    let mut world = World::with(two_slots(), Duration::from_secs(10));
    for name in ["a1", "a2", "a3", "a4"] {
        world.in_profile("acme", name, 60).await;
    }
    let b1 = world.in_profile("bolt", "b1", 60).await;
    let b2 = world.create(entry("bolt", "b2", "dp", 60)).await;
    world.in_profile("core", "c1", 60).await;
    world.up();
    world.until(5).await;
    let handle = world.schedule.run_now(&b2, RunOptions::default()).unwrap();
    let again = world
        .schedule
        .run_now(&b2, RunOptions::default())
        .err()
        .unwrap();
    assert!(
        again.to_string().contains("waits for a free slot already"),
        "{again}"
    );
    assert_eq!(world.schedule.under_way().len(), 2);
    world.until(100).await;
    handle.finished().await.unwrap();
    let runs = world.runs();
    let times: Vec<u64> = runs.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [0, 0, 10, 10, 20, 20, 30], "{runs:?}");
    assert_eq!(runs[2].1, "b2", "{runs:?}");
    // Which tenant is first follows from ids at random; none has a second turn before each had its first.
    let mut first: Vec<char> = [0, 1, 3]
        .into_iter()
        .map(|place: usize| runs[place].1.chars().next().unwrap())
        .collect();
    first.sort_unstable();
    assert_eq!(first, ['a', 'b', 'c'], "{runs:?}");
    assert_eq!(world.state(&b1), State::Healthy);
    world.down().await;
}

#[tokio::test]
async fn a_shutdown_is_bounded_and_what_it_cuts_off_goes_on_when_the_host_is_up_again() {
    let mut world = World::new();
    world.answers("deaf", &[Answer::Deaf(5000)]);
    world.up();
    world.in_profile("acme", "deaf", 120).await;
    world.until(100).await;
    assert_eq!(world.times(), [0]);
    // Time moves on while the shutdown watches it.
    let clock = world.clock.clone();
    let passing = tokio::spawn(async move { clock.sleep(Duration::from_secs(40)).await });
    world.down().await;
    let took = world.clock.now_ms() - START - 100_500;
    assert!((30_000..=40_000).contains(&took), "{took}");
    passing.await.unwrap();
    world.up();
    world.until(160).await;
    assert_eq!(world.times().len(), 1);
    world.down().await;
}

#[tokio::test]
async fn a_run_that_was_asked_for_and_never_began_is_called_off_by_the_shutdown() {
    let mut world = World::with(
        ScheduleOptions {
            concurrent_runs: 1,
            ..ScheduleOptions::default()
        },
        Duration::from_secs(10),
    );
    world.up();
    world.in_profile("acme", "a", 5).await;
    let b = world.in_profile("acme", "b", 5).await;
    world.until(5).await;
    let handle = world.schedule.run_now(&b, RunOptions::default()).unwrap();
    world.down().await;
    let failure = handle.finished().await.unwrap_err();
    assert!(failure.to_string().contains("called off"), "{failure}");
}

#[tokio::test]
async fn another_process_that_owns_the_directory_sees_the_same_statuses() {
    let mut world = World::new();
    world.answers("a", &[Answer::Failed]);
    world.up();
    let id = world.in_profile("acme", "a", 5).await;
    world.until(5).await;
    let reader = Catalogue::read(world.directory.path()).unwrap();
    assert_eq!(
        reader.status(&id).unwrap().unwrap().state,
        State::Collecting
    );
    world.until(20).await;
    assert_eq!(reader.status(&id).unwrap().unwrap().state, State::Failing);
    world.down().await;
}

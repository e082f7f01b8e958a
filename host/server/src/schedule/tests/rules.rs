//! When connectors run.

use super::*;

#[tokio::test]
async fn the_first_time_in_a_profile_it_runs_at_once_and_then_an_interval_after_each_start() {
    let mut world = World::new();
    world.up();
    let id = world.create(entry("acme", "a", "dp", 5)).await;
    world.until(99).await;
    assert_eq!(world.times(), [0; 0], "in no profile");
    assert_eq!(world.state(&id), State::NotInAProfile);
    assert_eq!(
        world.status(&id).message,
        "not in a profile: not pulling; ask an administrator to put it into one"
    );
    world.join("acme", "a", &id).await;
    world.until(100).await;
    assert_eq!(world.state(&id), State::Collecting);
    world.until(1000).await;
    assert_eq!(world.times(), [99, 399, 699, 999]);
    world.until(1015).await;
    assert_eq!(
        (world.state(&id), world.status(&id).code),
        (State::Healthy, 0)
    );
    world.down().await;
}

#[tokio::test]
async fn settings_without_an_interval_run_every_five_minutes() {
    let mut world = World::new();
    world.up();
    world.in_profile("acme", "a", 0).await;
    world.until(700).await;
    assert_eq!(world.times(), [0, 300, 600]);
    world.down().await;
}

#[tokio::test]
async fn adding_it_to_a_profile_again_keeps_its_due_time() {
    let mut world = World::new();
    world.up();
    let id = world.in_profile("acme", "a", 10).await;
    world.until(100).await;
    world.leave("acme", "a", &id).await;
    world.until(200).await;
    world.join("acme", "a", &id).await;
    world.until(650).await;
    assert_eq!(world.times(), [0, 600], "not at once again");
    world.leave("acme", "a", &id).await;
    world.until(2000).await;
    assert_eq!(world.times(), [0; 0]);
    world.join("acme", "a", &id).await;
    world.until(2700).await;
    assert_eq!(
        world.times(),
        [2000, 2600],
        "and one that was missed is made up for, once"
    );
    world.down().await;
}

#[tokio::test]
async fn intervals_missed_while_the_host_was_down_become_one_run() {
    let mut world = World::new();
    world.up();
    world.in_profile("acme", "a", 5).await;
    world.in_profile("acme", "b", 300).await;
    world.until(100).await;
    world.down().await;
    world.until(7200).await;
    world.runs();
    world.up();
    world.until(7600).await;
    assert_eq!(
        world.runs(),
        [(7200, "a".into()), (7500, "a".into())],
        "and b is not due yet"
    );
    world.down().await;
}

#[tokio::test]
async fn an_interrupted_run_goes_on_at_once_after_a_crash_and_after_a_shutdown() {
    let mut world = World::new();
    world.answers("a", &[Answer::Takes(600), Answer::Takes(600)]);
    world.up();
    let id = world.in_profile("acme", "a", 60).await;
    world.until(100).await;
    assert_eq!(world.times(), [0]);
    world.crash().await;
    world.until(200).await;
    world.up();
    world.until(300).await;
    assert_eq!(world.times(), [200], "cut off by the crash");
    world.down().await;
    assert_eq!(world.runner.stopped.lock().unwrap().len(), 1);
    world.until(400).await;
    world.up();
    world.until(4200).await;
    assert_eq!(world.times(), [400, 4000], "stopped by the shutdown");
    assert_eq!(world.state(&id), State::Healthy);
    world.down().await;
}

#[tokio::test]
async fn another_interval_counts_from_the_last_start() {
    let mut world = World::new();
    world.up();
    let id = world.in_profile("acme", "a", 60).await;
    world.until(100).await;
    world.edit(&id, entry("acme", "a", "dp", 5)).await;
    world.until(700).await;
    assert_eq!(world.times(), [0, 300, 600]);
    world.down().await;
}

#[tokio::test]
async fn a_device_runs_its_own_connectors_and_a_sensor_needs_no_profile() {
    let options = ScheduleOptions {
        device: "branch".into(),
        ..ScheduleOptions::default()
    };
    let mut world = World::with(options, Duration::from_secs(10));
    world.catalogue.add_sensor("branch").await.unwrap();
    world.catalogue.add_sensor("other").await.unwrap();
    world.up();
    let own = world.create(entry("acme", "own", "branch", 5)).await;
    world.create(entry("acme", "others", "other", 5)).await;
    world.in_profile("acme", "central", 5).await;
    let mut inactive = entry("acme", "later", "branch", 60);
    inactive.active = false;
    let later = world.create(inactive).await;
    world.until(100).await;
    assert_eq!(world.runs(), [(0, "own".into())]);
    world.switch("acme/later", &later, true).await;
    world.until(110).await;
    assert_eq!(
        world.runs(),
        [(100, "later".into())],
        "due when it is activated"
    );
    world.switch("acme/own", &own, false).await;
    world.until(2000).await;
    assert_eq!(world.times(), [0; 0]);
    assert_eq!(world.state(&own), State::Inactive);
    world.down().await;

    let options = ScheduleOptions {
        device: "nowhere".into(),
        ..ScheduleOptions::default()
    };
    let lost = Schedule::new(world.catalogue, world.clock, world.runner, options);
    let failure = lost.run(Stop::default()).await.unwrap_err().to_string();
    assert!(
        failure.contains("there is no device `nowhere`; there is dp, branch, other"),
        "{failure}"
    );
}

#[tokio::test]
async fn whoever_is_switched_off_taken_out_or_deleted_while_it_collects_stops_at_the_next_safe_point()
 {
    let mut world = World::new();
    world.up();
    for name in ["a", "b", "c"] {
        world.answers(name, &[Answer::Takes(3000)]);
    }
    let a = world.in_profile("acme", "a", 5).await;
    let b = world.in_profile("acme", "b", 5).await;
    let c = world.in_profile("acme", "c", 5).await;
    world.until(10).await;
    world.switch("acme/a", &a, false).await;
    world.until(20).await;
    world.leave("acme", "b", &b).await;
    world.until(30).await;
    assert!(
        world.schedule.stop_run(&c).await,
        "deletion stops the run first"
    );
    assert!(!world.schedule.stop_run(&c).await);
    world.catalogue.delete("acme/c").await.unwrap();
    world.schedule.changed(&c);
    world.until(5000).await;
    let stopped = world.runner.stopped.lock().unwrap().clone();
    assert_eq!(
        stopped,
        [(10, "a".into()), (20, "b".into()), (30, "c".into())]
    );
    assert_eq!(world.times(), [0, 0, 0], "and none begins again");
    assert_eq!(world.state(&a), State::Inactive);
    assert!(world.catalogue.status(&c).unwrap().is_none());
    world.down().await;
}

#[tokio::test]
async fn runs_of_one_connector_never_overlap_and_a_person_is_told_which_one_is_under_way() {
    let mut world = World::new();
    world.up();
    world.answers("a", &[Answer::Takes(1000)]);
    let id = world.in_profile("acme", "a", 5).await;
    world.until(100).await;
    let refused = world
        .schedule
        .run_now(&id, RunOptions::default())
        .err()
        .unwrap();
    assert_eq!(refused.code(), "conflict");
    let sentence = refused.to_string();
    assert!(
        sentence.contains("acme/a is collecting already: run 0a1b, since 2026-03-02T09:15:00Z"),
        "{sentence}"
    );
    let current = world.schedule.current(&id).unwrap();
    assert_eq!(
        (current.run.as_deref(), current.started_ms),
        (Some("0a1b"), START)
    );
    world.until(1001).await;
    assert_eq!(
        world.times(),
        [0, 1000],
        "the intervals that it took became one run"
    );
    world.until(1020).await;
    assert!(world.schedule.current(&id).is_none());
    let handle = world.schedule.run_now(&id, RunOptions::default()).unwrap();
    assert_eq!(handle.run_id().await.as_deref(), Some("0a1b"));
    let ledger = handle.finished().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Done);
    world.until(1400).await;
    assert_eq!(
        world.times(),
        [1020, 1320],
        "and the interval counts from there"
    );
    world.down().await;
    let refused = world
        .schedule
        .run_now(&id, RunOptions::default())
        .err()
        .unwrap();
    assert!(refused.to_string().contains("shutting down"), "{refused}");
}

#[tokio::test]
async fn a_person_may_run_what_is_in_no_profile_and_its_first_pull_stays_at_once() {
    let mut world = World::new();
    world.up();
    let id = world.create(entry("acme", "a", "dp", 60)).await;
    let handle = world.schedule.run_now(&id, RunOptions::default()).unwrap();
    handle.finished().await.unwrap();
    world.until(100).await;
    world.join("acme", "a", &id).await;
    world.until(110).await;
    assert_eq!(world.times(), [0, 100]);
    world.switch("acme/a", &id, false).await;
    let refused = world
        .schedule
        .run_now(&id, RunOptions::default())
        .err()
        .unwrap();
    assert_eq!(refused.code(), "inactive");
    world.down().await;
}

#[tokio::test]
async fn jitter_delays_each_connector_by_its_own_time_and_does_not_add_up() {
    let options = ScheduleOptions {
        jitter: Duration::from_secs(60),
        ..ScheduleOptions::default()
    };
    let mut world = World::with(options, Duration::from_secs(10));
    world.up();
    let mut delays = BTreeSet::new();
    for name in ["a", "b", "c", "d"] {
        let id = world.in_profile("acme", name, 5).await;
        delays.insert(due::jitter_ms(&id, Duration::from_secs(60)));
    }
    assert!(delays.len() > 1, "{delays:?}");
    world.until(1600).await;
    let runs = world.runs();
    for name in ["a", "b", "c", "d"] {
        let times: Vec<u64> = runs
            .iter()
            .filter(|(_, run)| run == name)
            .map(|(time, _)| *time)
            .collect();
        assert_eq!(times[0], 0, "the first is at once");
        for (number, time) in times.iter().enumerate().skip(1) {
            let due = 300 * number as u64;
            assert!((due..=due + 60).contains(time), "{name}: {times:?}");
            assert_eq!(time - due, times[1] - 300, "{name}: {times:?}");
        }
    }
    world.down().await;
}

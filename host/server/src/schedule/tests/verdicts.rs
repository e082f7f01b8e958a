//! What follows from how a run ended, and what a status says about it.

use super::*;

#[tokio::test]
async fn a_failing_connector_runs_again_an_interval_later_and_one_event_tells_of_it() {
    let mut world = World::new();
    world.answers("a", &[Answer::Failed, Answer::Failed, Answer::Incomplete]);
    world.up();
    let id = world.in_profile("acme", "a", 5).await;
    world.until(350).await;
    let status = world.status(&id);
    assert_eq!(
        (status.state, status.message.as_str()),
        (State::Failing, "assets: HTTP 503")
    );
    assert_eq!(status.since_ms, START + 10_000, "since the first");
    world.until(650).await;
    assert_eq!(world.state(&id), State::Incomplete);
    world.until(950).await;
    assert_eq!(
        (world.state(&id), world.times()),
        (State::Healthy, vec![0, 300, 600, 900])
    );
    assert_eq!(
        world.told(&id),
        [
            "failing: assets: HTTP 503",
            "incomplete: assets: one is missing",
            "healthy: everything that was listed is accounted for"
        ]
    );
    world.down().await;
}

#[tokio::test]
async fn a_refused_login_is_one_call_until_somebody_edits() {
    let mut world = World::new();
    world.answers("a", &[Answer::Refused]);
    world.up();
    let id = world.in_profile("acme", "a", 5).await;
    world.until(90_000).await;
    assert_eq!(world.times(), [0]);
    let status = world.status(&id);
    assert_eq!(status.state, State::StoppedAfterRefusedLogin);
    assert!(
        status
            .message
            .contains("bad login (2000) Collection has stopped"),
        "{}",
        status.message
    );
    world.down().await;
    world.up();
    world.until(95_000).await;
    assert_eq!(world.times(), [0; 0], "a restart is no reason");
    world.edit(&id, entry("acme", "a", "dp", 5)).await;
    world.until(95_400).await;
    assert_eq!(world.times(), [95_000, 95_300]);
    world.down().await;
}

#[tokio::test]
async fn after_a_refused_login_a_person_may_try_again_and_that_is_one_more_call() {
    let mut world = World::new();
    world.answers("a", &[Answer::Refused, Answer::Refused, Answer::Done]);
    world.up();
    let id = world.in_profile("acme", "a", 5).await;
    world.until(1000).await;
    for _ in 0..2 {
        let handle = world.schedule.run_now(&id, RunOptions::default()).unwrap();
        handle.finished().await.unwrap();
    }
    world.until(1320).await;
    assert_eq!(
        world.times(),
        [0, 1000, 1010, 1310],
        "the second time it went well"
    );
    world.down().await;
}

#[tokio::test]
async fn a_test_that_passes_clears_the_status_and_a_problem_that_persists_is_back_after_a_minute() {
    let mut world = World::new();
    world.answers("a", &[Answer::Failed, Answer::Failed, Answer::Done]);
    world.up();
    let id = world.in_profile("acme", "a", 60).await;
    world.until(100).await;
    assert_eq!(world.state(&id), State::Failing);
    let passed = report(Outcome::Passed, None);
    world.test(&id, &passed).await;
    let status = world.status(&id);
    assert_eq!(status.state, State::Waiting);
    assert_eq!(status.until_ms, Some(START + 160_500));
    world.until(159).await;
    assert_eq!(world.state(&id), State::Waiting);
    world.until(175).await;
    assert_eq!(world.state(&id), State::Failing);
    world.test(&id, &passed).await;
    world.until(250).await;
    assert_eq!(
        (world.state(&id), world.times()),
        (State::Healthy, vec![0, 160, 235])
    );
    world.test(&id, &passed).await;
    world.until(3000).await;
    assert_eq!(
        (world.state(&id), world.times()),
        (State::Healthy, vec![]),
        "nothing to clear"
    );
    world.down().await;
}

#[tokio::test]
async fn after_a_refused_login_only_a_test_that_passes_brings_another() {
    let mut world = World::new();
    world.answers("a", &[Answer::Refused]);
    world.up();
    let id = world.in_profile("acme", "a", 5).await;
    world.until(100).await;
    let refused = report(Outcome::Failed, Some(ErrorKind::Unauthenticated));
    world.test(&id, &refused).await;
    world
        .test(&id, &report(Outcome::Failed, Some(ErrorKind::Unavailable)))
        .await;
    world.until(2000).await;
    assert_eq!(world.state(&id), State::StoppedAfterRefusedLogin);
    assert_eq!(world.times(), [0], "no further login");
    world.test(&id, &report(Outcome::Passed, None)).await;
    world.until(2070).await;
    assert_eq!(world.times(), [2000], "it was due long ago");
    assert_eq!(world.state(&id), State::Healthy);
    world.test(&id, &refused).await;
    world.until(9000).await;
    assert_eq!(world.state(&id), State::StoppedAfterRefusedLogin);
    assert_eq!(
        world.times(),
        [0; 0],
        "nor after a login that a test has seen refused"
    );
    world.down().await;
}

#[tokio::test]
async fn a_wait_that_the_vendor_named_ends_in_a_run_and_survives_a_restart() {
    let mut world = World::new();
    world.answers("a", &[Answer::Wait(90), Answer::Wait(4000)]);
    world.up();
    let id = world.in_profile("acme", "a", 5).await;
    world.until(50).await;
    let status = world.status(&id);
    assert_eq!(status.state, State::WaitingForQuota);
    assert_eq!(status.until_ms, Some(START + 100_000));
    assert!(
        status
            .message
            .starts_with("waiting for quota until 2026-03-02T09:16:40Z: assets: the quota"),
        "{}",
        status.message
    );
    world.until(105).await;
    assert_eq!(world.times(), [0, 100], "before it would be due");
    world.until(200).await;
    world.down().await;
    world.up();
    // A test is a call of its own, and ends no wait.
    world.test(&id, &report(Outcome::Passed, None)).await;
    world.until(4109).await;
    assert_eq!(
        world.times(),
        [0; 0],
        "no call inside the wait, though it was due"
    );
    assert_eq!(world.state(&id), State::WaitingForQuota);
    world.until(4500).await;
    assert_eq!(world.times(), [4110, 4410]);
    assert_eq!(world.runner.options.lock().unwrap().patience, PATIENCE);
    world.down().await;
}

#[tokio::test]
async fn a_plugin_that_faults_holds_its_connector_back_and_sets_it_aside_until_its_file_is_another()
{
    let mut world = World::new();
    world.answers(
        "a",
        &[
            Answer::Struck(Some(600)),
            Answer::Struck(None),
            Answer::SetAside,
        ],
    );
    world.up();
    let id = world.in_profile("acme", "a", 5).await;
    let struck = |plugin: &str| connector_runtime::journal::StrikeRow {
        plugin: plugin.into(),
        runs: 3,
        not_before_ms: 0,
    };
    world
        .catalogue
        .journal()
        .set_strikes(&id, Some(struck("a")))
        .await
        .unwrap();
    world.until(100).await;
    assert_eq!(world.state(&id), State::HeldBack);
    assert_eq!(world.status(&id).until_ms, Some(START + 610_000));
    world.until(650).await;
    assert_eq!(world.times(), [0, 610]);
    assert_eq!(world.state(&id), State::SetAside);
    world.until(9000).await;
    assert_eq!(world.times(), [0; 0]);
    // A person may try, and it is still set aside.
    let handle = world.schedule.run_now(&id, RunOptions::default()).unwrap();
    assert_eq!(handle.finished().await.unwrap_err().code(), "set-aside");
    world.until(9100).await;
    assert_eq!(
        (world.state(&id), world.times()),
        (State::SetAside, vec![9000])
    );
    world.runner.plugin.lock().unwrap().sha256 = Some("b".into());
    world.schedule.changed_all().await.unwrap();
    world.until(9120).await;
    assert_eq!(
        (world.state(&id), world.times()),
        (State::Healthy, vec![9100])
    );
    world.down().await;
}

#[tokio::test]
async fn a_suspended_plugin_runs_nothing_and_its_connectors_are_back_when_it_is_accepted() {
    let mut world = World::new();
    world.up();
    let id = world.in_profile("acme", "a", 5).await;
    world.until(100).await;
    world.runner.plugin.lock().unwrap().suspended = Some("it asks for more".into());
    world.schedule.changed_all().await.unwrap();
    world.until(101).await;
    let status = world.status(&id);
    assert_eq!(
        (status.state, status.message.as_str()),
        (State::Suspended, "it asks for more")
    );
    world.until(5000).await;
    assert_eq!(world.times(), [0]);
    world.runner.plugin.lock().unwrap().suspended = None;
    world.schedule.changed_all().await.unwrap();
    world.until(5020).await;
    assert_eq!(
        (world.state(&id), world.times()),
        (State::Healthy, vec![5000])
    );
    assert_eq!(
        world.told(&id)[1..],
        ["suspended: it asks for more", "its plugin may run again"]
    );
    world.down().await;
}

#[tokio::test]
async fn statuses_can_be_asked_for_by_tenant_and_state() {
    let mut world = World::new();
    world.answers("a", &[Answer::Failed]);
    world.up();
    let a = world.in_profile("acme", "a", 5).await;
    let b = world.in_profile("bolt", "b", 5).await;
    let c = world.create(entry("bolt", "c", "dp", 5)).await;
    world.until(100).await;
    let ask = |tenant: Option<&str>, states: &[State]| -> Vec<String> {
        let filter = StatusFilter {
            tenant: tenant.map(str::to_owned),
            states: states.to_vec(),
        };
        world
            .catalogue
            .statuses(&filter)
            .unwrap()
            .into_keys()
            .collect()
    };
    assert_eq!(ask(None, &[]).len(), 3);
    assert_eq!(ask(None, &[State::Failing]), [a]);
    assert_eq!(ask(Some("bolt"), &[State::Healthy]), [b]);
    assert_eq!(
        ask(Some("bolt"), &[State::NotInAProfile, State::Failing]),
        [c]
    );
    world.down().await;
}

#[tokio::test]
async fn what_cannot_start_is_failing_with_the_sentence_that_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START);
    let catalogue = Catalogue::open(directory.path())
        .unwrap()
        .with_clock(clock.clone());
    let catalogue = Arc::new(catalogue);
    let host = crate::host::Host::assemble(&crate::arguments::Global::of_data(directory.path()));
    let host = Arc::new(host.ok().unwrap());
    let plugins = crate::plugins::SharedDirectory::open(&host, catalogue.journal()).await;
    let runner = HostRunner::new(
        host,
        Arc::clone(&catalogue),
        Arc::new(plugins.ok().unwrap()),
        crate::metrics::Metrics::new(&clock),
    );
    let options = ScheduleOptions::default();
    let schedule = Schedule::new(
        Arc::clone(&catalogue),
        clock.clone(),
        Arc::new(runner),
        options,
    );
    let id = catalogue.create(entry("acme", "a", "dp", 5)).await.unwrap();
    catalogue.add_to_profile("Default", "acme/a").await.unwrap();
    let stop = Stop::default();
    let ends = async {
        clock.sleep(Duration::from_secs(10)).await;
        stop.request();
    };
    let (ran, ()) = tokio::join!(schedule.run(stop.clone()), ends);
    ran.unwrap();
    let status = catalogue.status(&id).unwrap().unwrap();
    assert_eq!(status.state, State::Failing);
    assert!(
        status
            .message
            .contains("there is no plugin for `acme-scanner`"),
        "{}",
        status.message
    );
}

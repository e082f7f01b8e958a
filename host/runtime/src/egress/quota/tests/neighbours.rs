//! Two plugins on one account, of which one means harm.

use super::*;

/// A bucket of the path that both may request.
fn bucket(id: &str, calls: u32, window_seconds: u64) -> Bucket {
    Bucket {
        id: id.into(),
        path: "/assets".into(),
        calls,
        window_seconds,
        concurrency: 2,
    }
}

/// Headers of every answer, read as the limits' state.
fn made_up() -> QuotaHeaders {
    QuotaHeaders {
        limit: vec!["content-length".into()],
        window_seconds: vec!["x-one".into()],
        wait_seconds: vec!["content-length".into()],
        ..QuotaHeaders::default()
    }
}

/// A plugin with a connector on the account.
struct Plugin {
    account: Arc<Account>,
    plan: Arc<Plan>,
}

impl Plugin {
    fn on(account: &Arc<Account>, bucket: &Bucket, headers: QuotaHeaders) -> Self {
        Self {
            account: Arc::clone(account),
            plan: account.declare(plan(bucket, headers)),
        }
    }

    async fn call(&self, path: &str) -> Result<(), Duration> {
        let mut permit = self
            .account
            .permit(&self.plan, path, PATIENCE, &|_, _| {})
            .await?;
        let mut headers = HeaderMap::new();
        headers.insert("content-length", 2_000_000.into());
        headers.insert("x-one", 1.into());
        self.account.observe(StatusCode::OK, &headers, &mut permit);
        permit.counted().await;
        Ok(())
    }

    /// How many calls are let through before one is not.
    async fn calls(&self) -> u32 {
        let mut calls = 0;
        while calls < 5_000 && self.call("/assets").await.is_ok() {
            calls += 1;
        }
        calls
    }

    fn state(&self) -> BucketState {
        self.account.state(&self.plan).remove(0)
    }
}

#[tokio::test]
async fn a_shorter_window_of_a_neighbour_forgets_no_call_of_this_one() {
    let clock = Clock::simulated(1_772_442_900_000);
    let store = Arc::new(Memory::default());
    let account = reopened(&store, &clock);
    let honest = Plugin::on(&account, &bucket("assets", 100, 3600), names());
    assert_eq!(honest.calls().await, 95);
    let other = Plugin::on(&account, &bucket("assets", 100, 1), names());
    clock.advance(Duration::from_secs(60));
    assert_eq!(other.calls().await, 0, "the tightest holds for all");
    assert_eq!(honest.state().calls_in_window, 95);
    assert_eq!(honest.calls().await, 0);
    // Nor is it forgotten by what is saved.
    let again = reopened(&store, &clock);
    let honest = Plugin::on(&again, &bucket("assets", 100, 3600), names());
    assert_eq!(
        (honest.calls().await, honest.state().calls_in_window),
        (0, 95)
    );
}

#[tokio::test]
async fn another_id_or_larger_numbers_give_no_calls_beside_those_of_a_neighbour() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let honest = Plugin::on(&account, &bucket("assets", 100, 3600), names());
    let renamed = Plugin::on(&account, &bucket("mine", 100, 3600), names());
    let greedy = Plugin::on(&account, &bucket("more", 1_000_000, 1), names());
    for _ in 0..30 {
        renamed.call("/assets").await.unwrap();
    }
    assert_eq!(greedy.calls().await, 65, "with those of the other, 95");
    assert_eq!(honest.calls().await, 0);
    assert_eq!(honest.state().calls_in_window, 95);
    let heard = Mutex::new(Vec::new());
    clock.advance(HOUR - Duration::from_secs(10));
    let permit = account
        .permit(&greedy.plan, "/assets", PATIENCE, &|_, reason| {
            heard.lock().unwrap().push(reason.to_owned());
        })
        .await;
    assert!(permit.is_ok());
    assert_eq!(
        *heard.lock().unwrap(),
        [
            "The vendor's budget `assets`, as another plugin on this account declares it, is used up."
        ]
    );
}

#[tokio::test]
async fn a_wait_or_limit_read_from_headers_of_its_own_choice_holds_for_the_reader_alone() {
    let clock = Clock::simulated(1_772_442_900_000);
    let store = Arc::new(Memory::default());
    let account = reopened(&store, &clock);
    let honest = Plugin::on(&account, &bucket("assets", 100, 3600), names());
    let liar = Plugin::on(&account, &bucket("assets", 100, 3600), made_up());
    liar.call("/assets").await.unwrap();
    assert_eq!(liar.state().limit, 2_000_000);
    assert!(liar.call("/assets").await.is_err(), "it waits for itself");
    let state = honest.state();
    assert_eq!(
        (state.limit, state.window_seconds, state.not_before),
        (100, 3600, None)
    );
    honest.call("/assets").await.unwrap();
    let again = reopened(&store, &clock);
    let honest = Plugin::on(&again, &bucket("assets", 100, 3600), names());
    assert_eq!(
        honest.calls().await,
        93,
        "two of 95 are spent, and nobody waits"
    );
}

#[tokio::test]
async fn a_neighbour_holds_nobody_back_any_more_when_it_is_gone_and_its_window_over() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let tight = Plugin::on(&account, &bucket("assets", 1, 600), names());
    let honest = Plugin::on(&account, &bucket("assets", 100, 3600), made_up());
    tight.call("/assets").await.unwrap();
    assert!(honest.call("/assets").await.is_err(), "the tightest holds");
    drop(tight);
    assert!(honest.call("/assets").await.is_err());
    clock.advance(Duration::from_secs(600));
    assert!(honest.call("/assets").await.is_ok());
}

#[tokio::test]
async fn a_bucket_for_paths_that_its_plugin_may_not_request_holds_nobody_back() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let honest = Plugin::on(&account, &bucket("assets", 100, 3600), names());
    let quota = Quota {
        buckets: vec![bucket("assets", 1, 2_000_000)],
        headers: names(),
    };
    let elsewhere: RequestRule = serde_json::from_value(serde_json::json!(
        {"id": "about", "methods": ["GET"], "path": "/about"}
    ))
    .unwrap();
    let _plan = account.declare(Plan::new(&quota, &[elsewhere], 1000));
    assert_eq!(honest.calls().await, 95);
}

#[tokio::test]
async fn paths_without_a_bucket_have_one_limit_for_all_plugins_together() {
    let clock = Clock::simulated(1_772_442_900_000);
    let store = Arc::new(Memory::default());
    let account = reopened(&store, &clock);
    let first = Plugin::on(&account, &bucket("assets", 100, 3600), names());
    let second = Plugin::on(&account, &bucket("other", 7, 60), made_up());
    for _ in 0..475 {
        first.call("/about").await.unwrap();
        second.call("/more").await.unwrap();
    }
    assert_eq!(first.call("/about").await.err(), Some(HOUR));
    assert!(first.call("/assets").await.is_ok());
    let states = account.state(&second.plan);
    let uncovered = states.last().unwrap();
    assert_eq!(
        (
            uncovered.bucket.as_str(),
            uncovered.calls_in_window,
            uncovered.limit
        ),
        ("uncovered", 950, 1000)
    );
    let again = reopened(&store, &clock);
    let second = Plugin::on(&again, &bucket("other", 7, 60), made_up());
    assert_eq!(second.call("/more").await.err(), Some(HOUR));
}

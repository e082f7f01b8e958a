mod neighbours;

use super::window::{Next, Window};
use super::*;
use crate::manifest::{Bucket, Quota, QuotaHeaders, RequestRule};
use http::{HeaderMap, StatusCode};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn of(calls: u32, concurrency: u32) -> Bucket {
    Bucket {
        id: "assets".into(),
        path: "/assets".into(),
        calls,
        window_seconds: 3600,
        concurrency,
    }
}

fn names() -> QuotaHeaders {
    QuotaHeaders {
        limit: vec!["x-limit".into()],
        window_seconds: vec!["x-window".into()],
        remaining: vec!["x-remaining".into()],
        wait_seconds: vec!["x-wait".into()],
        concurrency_limit: vec!["x-places".into()],
        ..QuotaHeaders::default()
    }
}

/// Keeps what is saved, and says how much was.
#[derive(Default)]
struct Memory {
    rows: Mutex<HashMap<(String, String), StoredBucket>>,
    saved: Mutex<u32>,
}

impl QuotaStore for Memory {
    fn load(&self, account: &str) -> Result<Vec<StoredBucket>, String> {
        let rows = self.rows.lock().unwrap();
        let own = rows.iter().filter(|((known, _), _)| known == account);
        Ok(own.map(|(_, bucket)| bucket.clone()).collect())
    }

    fn save(&self, account: &str, bucket: StoredBucket) -> Saving {
        let key = (account.to_owned(), bucket.bucket.clone());
        self.rows.lock().unwrap().insert(key, bucket);
        *self.saved.lock().unwrap() += 1;
        Box::pin(std::future::ready(Ok(())))
    }
}

fn origin() -> Origin {
    Origin::parse("https://acme-scanner.example.test", false).unwrap()
}

fn account(clock: &Clock) -> Arc<Account> {
    QuotaBook::default().account(&origin(), "reader", clock)
}

/// The account as a new process would open it.
fn reopened(store: &Arc<Memory>, clock: &Clock) -> Arc<Account> {
    let store = Arc::clone(store) as Arc<dyn QuotaStore>;
    QuotaBook::kept_in(store).account(&origin(), "reader", clock)
}

/// What a plugin declares that may request the bucket's path.
fn plan(bucket: &Bucket, headers: QuotaHeaders) -> Plan {
    let rule = RequestRule {
        id: "assets".into(),
        methods: vec!["GET".into()],
        path: bucket.path.clone(),
        form: std::collections::BTreeMap::new(),
    };
    let quota = Quota {
        buckets: vec![bucket.clone()],
        headers,
    };
    Plan::new(&quota, &[rule], 1000)
}

async fn take(account: &Arc<Account>, bucket: &Bucket) -> Result<Permit, Duration> {
    account
        .permit(&plan(bucket, names()), &bucket.path, PATIENCE, &|_, _| {})
        .await
}

/// One call whose answer has these headers.
async fn call(account: &Arc<Account>, bucket: &Bucket, headers: &[(&'static str, &str)]) {
    answered(account, bucket, StatusCode::OK, headers).await;
}

async fn answered(
    account: &Arc<Account>,
    bucket: &Bucket,
    status: StatusCode,
    headers: &[(&'static str, &str)],
) {
    let mut permit = take(account, bucket).await.ok().unwrap();
    let headers: HeaderMap = headers
        .iter()
        .map(|&(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        })
        .collect();
    account.observe(status, &headers, &mut permit);
    permit.counted().await;
}

fn state(account: &Account, bucket: &Bucket) -> BucketState {
    account.state(&plan(bucket, names())).remove(0)
}

#[tokio::test]
async fn a_twentieth_of_the_calls_is_left_to_others_and_the_window_rolls() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let bucket = of(40, 2);
    for _ in 0..38 {
        take(&account, &bucket).await.ok().unwrap();
    }
    assert_eq!(take(&account, &bucket).await.err(), Some(HOUR));
    assert_eq!(state(&account, &bucket).remaining, 2);
    clock.advance(Duration::from_secs(3590));
    take(&account, &bucket).await.ok().unwrap();
    assert_eq!(clock.elapsed(), HOUR, "it waited for the window");
}

#[tokio::test]
async fn one_place_stays_free_and_a_dropped_permit_lets_the_next_in() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let bucket = of(300, 3);
    let first = take(&account, &bucket).await.ok().unwrap();
    let _second = take(&account, &bucket).await.ok().unwrap();
    let third = tokio::spawn({
        let (account, bucket) = (Arc::clone(&account), bucket.clone());
        async move { take(&account, &bucket).await.is_ok() }
    });
    tokio::task::yield_now().await;
    assert!(!third.is_finished());
    drop(first);
    assert!(third.await.unwrap());
}

#[tokio::test]
async fn whoever_waits_hears_how_long_and_why() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let bucket = of(1, 2);
    call(&account, &bucket, &[]).await;
    clock.advance(Duration::from_secs(3590));
    let heard = Mutex::new(Vec::new());
    let listener = |time: Option<Duration>, reason: &str| {
        heard.lock().unwrap().push((time, reason.to_owned()));
    };
    let plan = plan(&bucket, names());
    let permit = account.permit(&plan, "/assets", PATIENCE, &listener).await;
    assert!(permit.is_ok());
    assert_eq!(
        *heard.lock().unwrap(),
        [(
            Some(Duration::from_secs(10)),
            "The vendor's budget `assets` is used up.".to_owned()
        )]
    );
}

#[tokio::test]
async fn what_the_vendor_reports_replaces_what_was_assumed() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let bucket = of(300, 2);
    call(&account, &bucket, &[("x-limit", ""), ("x-wait", "725")]).await;
    assert_eq!(
        take(&account, &bucket).await.err(),
        Some(Duration::from_secs(725))
    );
    clock.advance(Duration::from_secs(725));
    let headers = [("x-limit", "2000"), ("x-window", "600"), ("x-places", "10")];
    call(&account, &bucket, &headers).await;
    let state = state(&account, &bucket);
    assert_eq!(
        (state.limit, state.window_seconds, state.concurrency),
        (2000, 600, 10)
    );
    assert_eq!(state.not_before, None);
}

#[tokio::test]
async fn calls_of_others_are_believed_so_that_the_reserve_stays() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let bucket = of(100, 2);
    // One call here, 94 elsewhere: the one in the reserve's way is not made.
    call(&account, &bucket, &[("x-remaining", "5")]).await;
    assert_eq!(take(&account, &bucket).await.err(), Some(HOUR));
    let now = state(&account, &bucket);
    assert_eq!((now.calls_in_window, now.remaining), (1, 5));
    // An hour later the truth is asked for, and it is that nobody else calls any more.
    clock.advance(HOUR);
    call(&account, &bucket, &[("x-remaining", "99")]).await;
    assert_eq!(state(&account, &bucket).remaining, 99);
    // More left than was counted here changes nothing: the calls were made.
    call(&account, &bucket, &[("x-remaining", "100")]).await;
    assert_eq!(state(&account, &bucket).remaining, 98);
}

#[tokio::test]
async fn a_refusal_holds_nobody_up_for_longer_than_it_says() {
    let clock = Clock::simulated(0);
    let account = account(&clock);
    let bucket = of(100, 2);
    let refused = StatusCode::CONFLICT;
    let headers = [("x-remaining", "0"), ("x-wait", "725")];
    answered(&account, &bucket, refused, &headers).await;
    let named = Duration::from_secs(725);
    assert_eq!(take(&account, &bucket).await.err(), Some(named));
    clock.advance(named);
    // Whose wait stands elsewhere: the plugin reads it, and the run obeys it.
    answered(&account, &bucket, refused, &[("x-remaining", "0")]).await;
    call(&account, &bucket, &[("x-remaining", "3")]).await;
    assert_eq!(state(&account, &bucket).remaining, 3);
    assert!(
        take(&account, &bucket).await.is_err(),
        "three are in the reserve"
    );
}

#[tokio::test]
async fn a_call_that_was_never_sent_is_taken_back() {
    let clock = Clock::simulated(0);
    let store = Arc::new(Memory::default());
    let account = reopened(&store, &clock);
    let bucket = of(1, 2);
    for _ in 0..3 {
        take(&account, &bucket).await.ok().unwrap().give_back();
    }
    assert_eq!(state(&account, &bucket).calls_in_window, 0);
    assert_eq!(state(&reopened(&store, &clock), &bucket).calls_in_window, 0);
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_spent_learnt_and_named() {
    let clock = Clock::simulated(1_772_442_900_000);
    let store = Arc::new(Memory::default());
    let bucket = of(300, 2);
    let first = reopened(&store, &clock);
    let headers = [
        ("x-limit", "40"),
        ("x-window", "600"),
        ("x-remaining", "30"),
    ];
    for _ in 0..5 {
        call(&first, &bucket, &headers).await;
    }
    call(&first, &bucket, &[("x-wait", "90")]).await;
    let before = state(&first, &bucket);
    assert_eq!((before.calls_in_window, before.remaining), (6, 29));
    assert_eq!(before.not_before, Some(clock.now_ms() + 90_000));
    drop(first);

    let second = reopened(&store, &clock);
    assert_eq!(state(&second, &bucket), before);
    let refused = take(&second, &bucket).await.err();
    assert_eq!(refused, Some(Duration::from_secs(90)));
    clock.advance(Duration::from_secs(90));
    assert!(take(&second, &bucket).await.is_ok());
    clock.advance(Duration::from_secs(600));
    assert_eq!(state(&second, &bucket).calls_in_window, 0);
}

#[tokio::test]
async fn a_call_is_on_its_way_to_the_store_before_it_is_made() {
    let clock = Clock::simulated(0);
    let store = Arc::new(Memory::default());
    let account = reopened(&store, &clock);
    let _permit = take(&account, &of(300, 2)).await.ok().unwrap();
    // The process ends here, with the call under way.
    let bucket = state(&reopened(&store, &clock), &of(300, 2));
    assert_eq!(bucket.calls_in_window, 1);
}

#[tokio::test]
async fn two_accounts_and_two_origins_have_budgets_of_their_own() {
    let clock = Clock::simulated(0);
    let store = Arc::new(Memory::default());
    let book = QuotaBook::kept_in(store.clone());
    let bucket = of(1, 2);
    call(&book.account(&origin(), "reader", &clock), &bucket, &[]).await;
    let same = book.account(&origin(), "reader", &clock);
    assert!(take(&same, &bucket).await.is_err());
    let other = book.account(&origin(), "other", &clock);
    assert!(take(&other, &bucket).await.is_ok());
    let elsewhere = Origin::parse("https://acme.example.test", false).unwrap();
    let elsewhere = book.account(&elsewhere, "reader", &clock);
    assert!(take(&elsewhere, &bucket).await.is_ok());
    assert!(
        store
            .rows
            .lock()
            .unwrap()
            .keys()
            .all(|(key, _)| key.len() == 64),
        "the store knows accounts by their digest only"
    );
}

#[tokio::test]
async fn a_wall_clock_that_was_set_back_makes_nothing_wait_longer() {
    let year = 365 * 24 * 3_600_000;
    let clock = Clock::simulated(2 * year);
    let store = Arc::new(Memory::default());
    let bucket = of(2, 2);
    let first = reopened(&store, &clock);
    call(&first, &bucket, &[]).await;
    call(&first, &bucket, &[("x-wait", "90"), ("x-remaining", "0")]).await;

    let earlier = Clock::simulated(year);
    let second = reopened(&store, &earlier);
    assert_eq!(
        take(&second, &bucket).await.err(),
        Some(HOUR),
        "as long as it would have been, and no year"
    );
    earlier.advance(HOUR);
    assert!(take(&second, &bucket).await.is_ok());
}

#[tokio::test]
async fn nonsense_from_the_vendor_blocks_nobody_for_ever() {
    let clock = Clock::simulated(1_772_442_900_000);
    let account = account(&clock);
    let bucket = of(300, 2);
    let most = u64::MAX.to_string();
    call(
        &account,
        &bucket,
        &[("x-wait", &most), ("x-window", &most), ("x-limit", &most)],
    )
    .await;
    let month = Duration::from_secs(31 * 24 * 3600);
    assert_eq!(take(&account, &bucket).await.err(), Some(month));
    clock.advance(month);
    assert!(take(&account, &bucket).await.is_ok());
    for value in ["0", "-5", "1e9", "many", ""] {
        call(&account, &bucket, &[("x-wait", value), ("x-limit", value)]).await;
    }
    assert_eq!(state(&account, &bucket).limit, u32::MAX);
}

#[test]
fn a_great_many_calls_are_kept_in_few_entries_and_counted_all() {
    let bucket = of(1_000_000, 2);
    let mut window = Window::default();
    for call in 0..100_000 {
        // 100,000 calls within the hour.
        let now = 10_000_000 + call * 36;
        assert_eq!(window.next(&bucket, now), Next::Now);
        window.begin(&bucket, now);
        window.end();
    }
    let now = 10_000_000 + 3_600_000 - 1;
    let stored = window.store("assets", now, now);
    assert!(stored.made.len() <= 520, "{} entries", stored.made.len());
    assert_eq!(window.state(&bucket, now, now).calls_in_window, 100_000);
    // They leave the window as they came, a part of it at a time.
    let half = window.state(&bucket, now + 1_800_000, now).calls_in_window;
    assert!((49_000..52_000).contains(&half), "{half}");
    assert_eq!(
        window.state(&bucket, now + 3_600_000, now).calls_in_window,
        0
    );
}

#[test]
fn what_is_stored_can_be_read_by_a_person() {
    let bucket = of(300, 2);
    let mut window = Window::default();
    window.begin(&bucket, 5_000);
    let stored = serde_json::to_value(window.store("assets", 6_000, 1_772_442_900_000)).unwrap();
    assert_eq!(
        stored["made"],
        serde_json::json!([[1_772_442_899_000_u64, 1]])
    );
    assert_eq!(stored["bucket"], "assets");
}

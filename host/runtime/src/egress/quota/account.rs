//! The buckets of one origin and account, shared by everybody who calls in its name.

use super::window::{Next, Reported, Window, declared_length};
use super::{BucketState, Declared, Plan, QuotaStore, Saving};
use crate::Clock;
use crate::clock::milliseconds;
use http::{HeaderMap, StatusCode};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// Hears of a wait before it begins: how long, and why, in a sentence. No time is known if it depends on another call.
pub(crate) type Waiting<'a> = &'a (dyn Fn(Option<Duration>, &str) + Send + Sync);

/// How long a bucket takes part in the counting after the last call of a plugin that declares it, in milliseconds: so that
/// a plugin that collects once a day knows what was spent in between.
const COUNTED_FOR: u64 = 48 * 3_600_000;

/// The budgets of one origin and account.
pub(crate) struct Account {
    key: String,
    store: Option<Arc<dyn QuotaStore>>,
    clock: Clock,
    /// The wall clock's time when the account was opened, less the clock's monotonic time then.
    began: u64,
    books: Mutex<Books>,
    returned: Notify,
}

/// What is declared on an account, and what was counted.
#[derive(Default)]
struct Books {
    /// By what tells the buckets apart.
    buckets: BTreeMap<String, Counted>,
    /// Of the connectors that there are.
    plans: Vec<Weak<Plan>>,
}

/// One bucket.
struct Counted {
    declared: Declared,
    /// When a plugin that declares it made its last call.
    used: u64,
    window: Window,
}

impl Books {
    /// The bucket that `declared` names. A new one goes on from the one used last that counts the same calls.
    fn counted(&mut self, declared: &Declared) -> &mut Counted {
        let alike = self
            .buckets
            .values()
            .filter(|other| other.declared.counts_as(declared));
        let last =
            alike.max_by_key(|other| (other.declared.headers == declared.headers, other.used));
        let window = last.map(|last| {
            last.window
                .successor(last.declared.headers == declared.headers)
        });
        self.buckets
            .entry(declared.key())
            .or_insert_with(|| Counted {
                declared: declared.clone(),
                used: 0,
                window: window.unwrap_or_default(),
            })
    }

    /// Keys of the buckets of the connectors that there are.
    fn live(&mut self) -> HashSet<String> {
        self.plans.retain(|plan| plan.strong_count() > 0);
        let plans: Vec<Arc<Plan>> = self.plans.iter().filter_map(Weak::upgrade).collect();
        plans
            .iter()
            .flat_map(|plan| plan.buckets())
            .map(Declared::key)
            .collect()
    }
}

/// The bucket that holds a call back longest.
struct Obstacle {
    next: Next,
    /// Whose and which, as in a sentence.
    budget: String,
}

impl Obstacle {
    fn new(next: Next, declared: &Declared, is_own: bool) -> Self {
        let id = &declared.bucket.id;
        let budget = if declared.is_uncovered() {
            format!("host's budget `{id}`, for paths that the plugin's manifest gives none,")
        } else if is_own {
            format!("vendor's budget `{id}`")
        } else {
            format!("vendor's budget `{id}`, as another plugin on this account declares it,")
        };
        Self { next, budget }
    }
}

impl Account {
    /// Opens an account with what is stored of it.
    pub(super) fn open(key: String, store: Option<Arc<dyn QuotaStore>>, clock: &Clock) -> Self {
        let now = clock.now_ms();
        let stored = match store.as_ref().map(|store| store.load(&key)) {
            None => Vec::new(),
            Some(Ok(stored)) => stored,
            Some(Err(error)) => {
                tracing::warn!(
                    "what is left of the vendor's quota is not known; its answers will tell: {error}"
                );
                Vec::new()
            }
        };
        let buckets = stored.iter().filter_map(|stored| {
            let counted = Counted {
                declared: stored.declared.clone()?,
                used: stored.used_ms.min(now),
                window: Window::load(stored, now),
            };
            Some((counted.declared.key(), counted))
        });
        Self {
            books: Mutex::new(Books {
                buckets: buckets.collect(),
                plans: Vec::new(),
            }),
            began: now.saturating_sub(milliseconds(clock.elapsed())),
            clock: clock.clone(),
            returned: Notify::new(),
            key,
            store,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.began
            .saturating_add(milliseconds(self.clock.elapsed()))
    }

    /// Begins to save a bucket. The caller holds the lock, so that states are saved in the order in which they came about.
    fn save(&self, counted: &Counted, now: u64) -> Option<Saving> {
        let store = self.store.as_ref()?;
        let wall = self.clock.now_ms();
        let mut stored = counted.window.store(&counted.declared.key(), now, wall);
        stored.used_ms = wall.saturating_sub(now.saturating_sub(counted.used));
        stored.declared = Some(counted.declared.clone());
        Some(store.save(&self.key, stored))
    }

    /// Takes up what a connector's plugin declares. It holds for others, too, for as long as the answer is kept.
    pub(crate) fn declare(&self, plan: Plan) -> Arc<Plan> {
        let plan = Arc::new(plan);
        let mut books = self.lock();
        for declared in plan.buckets() {
            books.counted(declared);
        }
        books.plans.push(Arc::downgrade(&plan));
        plan
    }

    /// Takes a permit for a request of `path`, waiting for at most `patience`. The call is counted from then on.
    ///
    /// # Errors
    /// With the time after which it is worth asking again.
    pub(crate) async fn permit(
        self: &Arc<Self>,
        plan: &Plan,
        path: &str,
        patience: Duration,
        waiting: Waiting<'_>,
    ) -> Result<Permit, Duration> {
        let deadline = self.clock.elapsed() + patience;
        let mut is_told = false;
        loop {
            // Registered before looking, so that a permit returned in between is not missed.
            let returned = self.returned.notified();
            let obstacle = match self.try_permit(plan.of(path), path) {
                Ok(permit) => return Ok(permit),
                Err(obstacle) => obstacle,
            };
            let left = deadline.saturating_sub(self.clock.elapsed());
            match obstacle.next {
                Next::Now => {}
                Next::After(wait) if wait > left => return Err(wait),
                Next::After(wait) => {
                    let reason = format!("The {} is used up.", obstacle.budget);
                    waiting(Some(wait), &reason);
                    self.clock.sleep(wait).await;
                }
                Next::Busy if left.is_zero() => return Err(patience),
                Next::Busy => {
                    if !std::mem::replace(&mut is_told, true) {
                        let reason = format!(
                            "As many calls of the {} as are allowed at the same time are under way.",
                            obstacle.budget
                        );
                        waiting(None, &reason);
                    }
                    // Whether a permit came back or the time is over: the next turn finds out.
                    let _ = self.clock.timeout(left, returned).await;
                }
            }
        }
    }

    /// Takes a permit if every bucket allows it now.
    fn try_permit(self: &Arc<Self>, own: &Declared, path: &str) -> Result<Permit, Obstacle> {
        let own_key = own.key();
        let mut books = self.lock();
        let now = self.now();
        books.counted(own).declared = own.clone();
        let live = books.live();
        let mut keys = Vec::new();
        let mut obstacle: Option<Obstacle> = None;
        for (key, counted) in &mut books.buckets {
            let is_own = *key == own_key;
            let bucket = &counted.declared.bucket;
            let within = |time: u64| counted.used.saturating_add(time) > now;
            let is_live = is_own || live.contains(key);
            if !is_own && !(counted.declared.counts(path) && (is_live || within(COUNTED_FOR))) {
                continue;
            }
            keys.push(key.clone());
            let next = match is_own {
                true => counted.window.next(bucket, now),
                false if is_live || within(declared_length(bucket)) => {
                    counted.window.next_of_neighbour(bucket, now)
                }
                false => Next::Now,
            };
            if next
                > obstacle
                    .as_ref()
                    .map_or(Next::Now, |obstacle| obstacle.next)
            {
                obstacle = Some(Obstacle::new(next, &counted.declared, is_own));
            }
        }
        if let Some(obstacle) = obstacle {
            return Err(obstacle);
        }
        let mut saving = Vec::new();
        for key in &keys {
            let Some(counted) = books.buckets.get_mut(key) else {
                continue;
            };
            counted.window.begin(&counted.declared.bucket, now);
            if *key == own_key {
                counted.used = now;
            }
            saving.extend(self.save(counted, now).map(|write| (key.clone(), write)));
        }
        Ok(Permit {
            account: Arc::clone(self),
            own: own_key,
            buckets: keys,
            began: now,
            saving,
        })
    }

    /// Takes in what an answer's status and headers report about the bucket that the caller's plugin declares. Values that
    /// are missing, empty or no numbers change nothing.
    pub(crate) fn observe(&self, status: StatusCode, headers: &HeaderMap, permit: &mut Permit) {
        let number = |names: &[String]| {
            names
                .iter()
                .filter_map(|name| headers.get(name.as_str()))
                .find_map(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
        };
        let positive = |names: &[String]| number(names).filter(|&value| value > 0);
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let mut books = self.lock();
        let now = self.now();
        let Some(counted) = books.buckets.get_mut(&permit.own) else {
            return;
        };
        let names = &counted.declared.headers;
        let reported = Reported {
            calls: positive(&names.limit).map(small),
            window_ms: positive(&names.window_seconds).map(|seconds| seconds.saturating_mul(1000)),
            remaining: number(&names.remaining)
                .filter(|_| status.is_success())
                .map(small),
            concurrency: positive(&names.concurrency_limit).map(small),
            wait_ms: positive(&names.wait_seconds).map(|seconds| seconds.saturating_mul(1000)),
        };
        counted
            .window
            .observe(&counted.declared.bucket, &reported, now);
        if let Some(write) = self.save(counted, now) {
            // In place of the write when the call began, whose state it has.
            permit.saving.retain(|(key, _)| *key != permit.own);
            permit.saving.push((permit.own.clone(), write));
        }
    }

    /// What is known of every bucket of `plan`, and of the host's own if it was used.
    pub(crate) fn state(&self, plan: &Plan) -> Vec<BucketState> {
        let (now, wall) = (self.now(), self.clock.now_ms());
        let mut books = self.lock();
        let mut state = |declared: &Declared| {
            let window = &mut books.counted(declared).window;
            window.state(&declared.bucket, now, wall)
        };
        let mut states: Vec<_> = plan.buckets().iter().map(&mut state).collect();
        let uncovered = state(plan.uncovered());
        if uncovered.calls_in_window > 0 {
            states.push(uncovered);
        }
        states
    }
}

/// The right to have one request under way.
pub(crate) struct Permit {
    account: Arc<Account>,
    /// The bucket that its plugin declares.
    own: String,
    /// All that count it, the own one too.
    buckets: Vec<String>,
    began: u64,
    /// The last write of each.
    saving: Vec<(String, Saving)>,
}

impl Permit {
    /// Ends when the call is counted durably, or cannot be: then it is counted in memory, and the log says why.
    pub(crate) async fn counted(&mut self) {
        for (_, saving) in std::mem::take(&mut self.saving) {
            let Err(error) = saving.await else { continue };
            tracing::warn!("a call of the vendor's quota is counted in memory only: {error}");
        }
    }

    /// Gives the permit back unused: nothing was sent, so nothing counts.
    pub(crate) fn give_back(self) {
        let mut books = self.account.lock();
        for key in &self.buckets {
            if let Some(counted) = books.buckets.get_mut(key) {
                counted.window.take_back(self.began);
                // Not waited for: that it is counted until then makes no vendor refuse.
                drop(self.account.save(counted, self.account.now()));
            }
        }
        // Before the permit is dropped, which takes the lock itself.
        drop(books);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut books = self.account.lock();
        for key in &self.buckets {
            if let Some(counted) = books.buckets.get_mut(key) {
                counted.window.end();
            }
        }
        drop(books);
        self.account.returned.notify_waiters();
    }
}

//! The limiter: how often somebody may be wrong.
//!
//! Promises: after [`FREE`] failures of one name, or from one address, within [`WINDOW`], the next tries are refused without
//! being looked at, each time for longer, up to [`LONGEST`]. A try counts as a failure from its beginning until it has
//! succeeded, so that many at once are no way around. A success clears the name. Memory is bounded: [`MOST`] entries.
//!
//! An API token has 256 random bits, which nobody guesses: a good one is never refused for its neighbours' bad ones (behind a
//! proxy all have one address); bad ones are told to wait.

use super::error::AccessError;
use connector_runtime::Clock;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures without a consequence.
pub(super) const FREE: u32 = 5;
/// After so long without a failure everything is forgotten.
pub(super) const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The first delay; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = WINDOW;
/// Entries, of names and addresses together.
pub(super) const MOST: usize = 10_000;

/// See the module. Times are the clock's.
pub(crate) struct Limiter {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    names: Tallies<String>,
    addresses: Tallies<IpAddr>,
    tokens: Tallies<IpAddr>,
}

struct Tallies<K> {
    most: usize,
    tallies: HashMap<K, Tally>,
}

/// The failures of one name or address.
#[derive(Clone, Copy)]
struct Tally {
    failures: u32,
    last: Duration,
}

impl Tally {
    /// How long nothing is tried after the last failure.
    fn delay(self) -> Duration {
        match self.failures.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(more) => FIRST.saturating_mul(1 << more.min(16)).min(LONGEST),
        }
    }

    fn wait(self, now: Duration) -> Option<Duration> {
        (self.last + self.delay())
            .checked_sub(now)
            .filter(|wait| !wait.is_zero())
    }

    fn is_forgotten(self, now: Duration) -> bool {
        now >= self.last + self.delay() + WINDOW
    }
}

impl<K: Clone + Eq + Hash> Tallies<K> {
    fn of(most: usize) -> Self {
        Self {
            most,
            tallies: HashMap::new(),
        }
    }

    fn wait(&self, key: &K, now: Duration) -> Option<Duration> {
        self.tallies.get(key)?.wait(now)
    }

    fn fail(&mut self, key: K, now: Duration) {
        if self.tallies.len() >= self.most && !self.tallies.contains_key(&key) {
            self.make_room(now);
        }
        let tally = self.tallies.entry(key).or_insert(Tally {
            failures: 0,
            last: now,
        });
        if tally.is_forgotten(now) {
            tally.failures = 0;
        }
        tally.failures = tally.failures.saturating_add(1);
        tally.last = now;
    }

    fn make_room(&mut self, now: Duration) {
        self.tallies.retain(|_, tally| !tally.is_forgotten(now));
        if self.tallies.len() < self.most {
            return;
        }
        // Whoever was wrong the least: a flood of new names must not make an old one forgotten.
        let least = self
            .tallies
            .iter()
            .min_by_key(|(_, tally)| (tally.failures, tally.last))
            .map(|(key, _)| key.clone());
        if let Some(key) = least {
            self.tallies.remove(&key);
        }
    }

    fn forgive_one(&mut self, key: &K) {
        if let Some(tally) = self.tallies.get_mut(key) {
            tally.failures = tally.failures.saturating_sub(1);
            if tally.failures == 0 {
                self.tallies.remove(key);
            }
        }
    }
}

/// A try that counts as a failure until it has succeeded.
#[must_use = "a try that never succeeds stays a failure"]
pub(super) struct Attempt<'a> {
    limiter: &'a Limiter,
    name: String,
    address: IpAddr,
}

impl Attempt<'_> {
    /// It was right: the name is cleared. The address keeps its other failures: somebody who has one account must not get
    /// free tries at the others with it.
    pub(super) fn succeeded(self) {
        let mut state = self.limiter.lock();
        state.names.tallies.remove(&self.name);
        state.addresses.forgive_one(&self.address);
    }
}

impl Limiter {
    /// Empty.
    pub(crate) fn new(clock: Clock) -> Self {
        let share = MOST / 4;
        Self {
            clock,
            state: Mutex::new(State {
                names: Tallies::of(MOST - 2 * share),
                addresses: Tallies::of(share),
                tokens: Tallies::of(share),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts are consistent after every statement, so a panic elsewhere does not spoil them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a try of a password.
    ///
    /// # Errors
    /// [`AccessError::TooMany`] if name or address have to wait; that does not count as another failure.
    pub(super) fn begin(&self, name: &str, address: IpAddr) -> Result<Attempt<'_>, AccessError> {
        // Longer ones are nobody's, and could not be told from one another by what is kept.
        let name: String = name.chars().take(64).collect();
        let (address, now) = (network(address), self.clock.elapsed());
        let mut state = self.lock();
        let waits = [
            state.names.wait(&name, now),
            state.addresses.wait(&address, now),
        ];
        if let Some(after) = waits.into_iter().flatten().max() {
            return Err(AccessError::TooMany { after });
        }
        state.names.fail(name.clone(), now);
        state.addresses.fail(address, now);
        Ok(Attempt {
            limiter: self,
            name,
            address,
        })
    }

    /// Counts a bad token, and says what to answer.
    pub(super) fn bad_token(&self, address: IpAddr) -> AccessError {
        let (address, now) = (network(address), self.clock.elapsed());
        let mut state = self.lock();
        if let Some(after) = state.tokens.wait(&address, now) {
            return AccessError::TooMany { after };
        }
        state.tokens.fail(address, now);
        AccessError::Unauthenticated
    }

    #[cfg(test)]
    fn entries(&self) -> usize {
        let state = self.lock();
        state.names.tallies.len() + state.addresses.tallies.len() + state.tokens.tallies.len()
    }
}

/// What counts as one address: whoever has an IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(bits).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> (Clock, Limiter) {
        let clock = Clock::simulated(1_700_000_000_000);
        (clock.clone(), Limiter::new(clock))
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn wait(limiter: &Limiter, name: &str, address: IpAddr) -> Option<u64> {
        match limiter.begin(name, address) {
            Ok(_) => None,
            Err(AccessError::TooMany { after }) => Some(after.as_secs()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn after_five_failures_a_name_has_to_wait_wherever_it_is_tried_from() {
        let (_clock, limiter) = limiter();
        for last in 1..=5 {
            assert_eq!(wait(&limiter, "alice", address(last)), None);
        }
        assert_eq!(wait(&limiter, "alice", address(6)), Some(30));
        assert_eq!(wait(&limiter, "bob", address(6)), None);
    }

    #[test]
    fn after_five_failures_an_address_has_to_wait_whatever_name_it_tries() {
        let (_clock, limiter) = limiter();
        for name in ["a", "b", "c", "d", "e"] {
            assert_eq!(wait(&limiter, name, address(1)), None);
        }
        assert_eq!(wait(&limiter, "f", address(1)), Some(30));
        assert_eq!(wait(&limiter, "f", address(2)), None);
    }

    #[test]
    fn an_ipv6_address_is_its_network() {
        let (_clock, limiter) = limiter();
        for host in 1..=5_u16 {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
            assert_eq!(wait(&limiter, &host.to_string(), address.into()), None);
        }
        let near = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9);
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1);
        assert_eq!(wait(&limiter, "x", near.into()), Some(30));
        assert_eq!(wait(&limiter, "x", far.into()), None);
    }

    #[test]
    fn delays_double_up_to_a_quarter_of_an_hour_and_a_refused_try_makes_none_longer() {
        let (clock, limiter) = limiter();
        for _ in 0..5 {
            assert_eq!(wait(&limiter, "alice", address(1)), None);
        }
        for delay in [30, 60, 120, 240, 480, 900, 900] {
            assert_eq!(wait(&limiter, "alice", address(1)), Some(delay));
            clock.advance(Duration::from_secs(delay - 1));
            assert_eq!(wait(&limiter, "alice", address(1)), Some(1));
            clock.advance(Duration::from_secs(1));
            assert_eq!(wait(&limiter, "alice", address(1)), None);
        }
    }

    #[test]
    fn a_quarter_of_an_hour_without_failures_forgets_them() {
        let (clock, limiter) = limiter();
        for _ in 0..4 {
            assert_eq!(wait(&limiter, "alice", address(1)), None);
        }
        clock.advance(WINDOW);
        for _ in 0..5 {
            assert_eq!(wait(&limiter, "alice", address(1)), None);
        }
        assert_eq!(wait(&limiter, "alice", address(1)), Some(30));
    }

    #[test]
    fn a_success_clears_the_name_and_not_what_the_address_did_to_others() {
        let (_clock, limiter) = limiter();
        for name in ["a", "b", "c", "alice"] {
            assert_eq!(wait(&limiter, name, address(1)), None);
        }
        for last in 2..=4 {
            assert_eq!(wait(&limiter, "alice", address(last)), None);
        }
        limiter.begin("alice", address(1)).ok().unwrap().succeeded();
        for last in 5..=9 {
            assert_eq!(wait(&limiter, "alice", address(last)), None);
        }
        assert_eq!(wait(&limiter, "alice", address(10)), Some(30));
        assert_eq!(wait(&limiter, "d", address(1)), None);
        assert_eq!(wait(&limiter, "e", address(1)), Some(30));
    }

    #[test]
    fn tries_at_the_same_time_count_before_they_are_answered() {
        let (_clock, limiter) = limiter();
        let under_way: Vec<_> = (0..5).map(|_| limiter.begin("alice", address(1))).collect();
        assert!(under_way.iter().all(Result::is_ok));
        assert_eq!(wait(&limiter, "alice", address(1)), Some(30));
    }

    #[test]
    fn bad_tokens_of_one_address_are_told_to_wait() {
        let (clock, limiter) = limiter();
        for _ in 0..5 {
            assert!(matches!(
                limiter.bad_token(address(1)),
                AccessError::Unauthenticated
            ));
        }
        assert!(matches!(
            limiter.bad_token(address(1)),
            AccessError::TooMany { .. }
        ));
        assert!(matches!(
            limiter.bad_token(address(2)),
            AccessError::Unauthenticated
        ));
        clock.advance(Duration::from_secs(30));
        assert!(matches!(
            limiter.bad_token(address(1)),
            AccessError::Unauthenticated
        ));
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_makes_the_one_that_is_guessed_not_forgotten() {
        let (_clock, limiter) = limiter();
        for last in 1..=5 {
            assert_eq!(wait(&limiter, "alice", address(last)), None);
        }
        for number in 0..2 * u16::try_from(MOST).unwrap() {
            // Each from a network of its own.
            let address = Ipv6Addr::new(0x2001, 0xdb8, 7, number, 0, 0, 0, 1).into();
            assert_eq!(wait(&limiter, &format!("name-{number}"), address), None);
            limiter.bad_token(address);
        }
        assert!(limiter.entries() <= MOST, "{}", limiter.entries());
        assert_eq!(wait(&limiter, "alice", address(9)), Some(30));
    }
}

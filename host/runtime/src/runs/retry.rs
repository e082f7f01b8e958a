//! What to do about a failure: facts come from the plugin, decisions are made here.

use crate::sandbox::{CallFailure, ErrorKind, PluginFailure};
use std::time::Duration;

/// Attempts from one cursor; each changes what is asked for.
pub(crate) const ATTEMPTS: u32 = 16;
/// Longer waits end the instance: its open response is dropped, and the walk goes on from its cursor.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The wait for a vendor who said "later" without saying when.
const UNNAMED_WAIT: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Whether a failure says something about the vendor's budget and nothing about what was asked for. Such a one is no
/// attempt: smaller pages would only need more of the calls that are missing.
pub(crate) fn is_limit(failure: &CallFailure) -> bool {
    matches!(failure, CallFailure::Plugin(failure) if failure.kind == ErrorKind::RateLimited)
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Wait, then ask the same again.
    Later(Duration),
    /// Wait, then try differently.
    Again(Duration),
    /// End this content type and the run: nothing gets better by trying.
    Stop,
    /// End this content type.
    GiveUp,
}

/// Decides about a failure of the plugin. `attempt` counts the attempts made from this cursor, the failed one included.
pub(crate) fn decide(failure: &PluginFailure, attempt: u32) -> Decision {
    match failure.kind {
        ErrorKind::RateLimited => {
            let named = failure.retry_after_ms.map(Duration::from_millis);
            Decision::Later(named.unwrap_or(UNNAMED_WAIT).max(Duration::from_secs(1)))
        }
        ErrorKind::Unavailable | ErrorKind::Malformed if attempt < ATTEMPTS => {
            let named = failure.retry_after_ms.map(Duration::from_millis);
            Decision::Again(named.unwrap_or_default().max(pause(attempt)))
        }
        ErrorKind::Unavailable | ErrorKind::Malformed => Decision::GiveUp,
        ErrorKind::Unauthenticated => Decision::Stop,
        ErrorKind::InvalidSettings
        | ErrorKind::Forbidden
        | ErrorKind::NotFound
        | ErrorKind::Internal => Decision::GiveUp,
    }
}

/// 1, 2, 4, ... seconds, at most a minute.
pub(crate) fn pause(attempt: u32) -> Duration {
    let seconds = 1u64 << attempt.saturating_sub(1).min(6);
    Duration::from_secs(seconds).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ErrorKind, retry_after_ms: Option<u64>) -> PluginFailure {
        PluginFailure {
            kind,
            code: "c".into(),
            message: "m".into(),
            advice: String::new(),
            http_status: None,
            retry_after_ms,
        }
    }

    #[test]
    fn a_refused_login_is_never_tried_again() {
        let refused = failure(ErrorKind::Unauthenticated, Some(1));
        assert_eq!(decide(&refused, 1), Decision::Stop);
    }

    #[test]
    fn a_named_wait_is_obeyed_and_an_unnamed_one_is_a_minute() {
        let limited = failure(ErrorKind::RateLimited, Some(725_000));
        assert_eq!(
            decide(&limited, 1),
            Decision::Later(Duration::from_secs(725))
        );
        let limited = failure(ErrorKind::RateLimited, None);
        assert_eq!(
            decide(&limited, 40),
            Decision::Later(Duration::from_secs(60))
        );
    }

    #[test]
    fn what_may_pass_is_tried_sixteen_times_with_growing_pauses() {
        let gone = failure(ErrorKind::Unavailable, None);
        let pauses: Vec<u64> = (1..ATTEMPTS)
            .map(|attempt| match decide(&gone, attempt) {
                Decision::Again(pause) => pause.as_secs(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            pauses,
            [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60, 60, 60]
        );
        assert_eq!(decide(&gone, ATTEMPTS), Decision::GiveUp);
    }

    #[test]
    fn mistakes_are_not_repeated() {
        for kind in [
            ErrorKind::InvalidSettings,
            ErrorKind::Forbidden,
            ErrorKind::NotFound,
            ErrorKind::Internal,
        ] {
            assert_eq!(decide(&failure(kind, None), 1), Decision::GiveUp);
        }
    }
}

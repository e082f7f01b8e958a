//! CPU, memory, stack, handles, time; and ways of dying.

use bytes::Bytes;
use connector_runtime::Limits;
use connector_runtime::egress::{UpstreamError, body_of};
use connector_runtime::runs::RunOutcome;
use connector_runtime::sandbox::FaultKind::{Contract, Limit, Trap};
use http_body::Frame;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tests::hostile::Attack;

/// Little CPU time, in real ticks; more than any honest call here needs.
fn hasty() -> Limits {
    Limits {
        call_cpu: Duration::from_millis(300),
        ..Limits::default()
    }
}

const CPU: &str = "The plugin was stopped: one call may use 300 ms of CPU (`call_cpu_seconds`).";

#[tokio::test]
async fn an_endless_loop_is_stopped() {
    let attacked = Attack::by("endless_loop").within(hasty()).run().await;
    attacked.struck_out(Limit, [CPU; 3]);
    let cpu = attacked.ledger.usage.cpu_ms;
    assert!((900..2_000).contains(&cpu), "{cpu} ms");
}

#[tokio::test]
async fn an_endless_loop_before_the_first_batch_is_stopped() {
    let attacked = Attack::by("endless_configure").within(hasty()).run().await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Failed);
    assert!(attacked.ledger.struck_out);
    let fault = attacked.ledger.start_fault.as_ref().unwrap();
    assert_eq!(
        (fault.kind, fault.call, fault.message.as_str()),
        (Limit, "configure", CPU)
    );
}

/// A vendor whose every piece takes the host 400 ms of CPU to get.
struct Laborious(Arc<AtomicUsize>);

impl http_body::Body for Laborious {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let used = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            Duration::new(
                u64::try_from(time.tv_sec).unwrap(),
                u32::try_from(time.tv_nsec).unwrap(),
            )
        };
        let until = used() + Duration::from_millis(400);
        while used() < until {
            std::hint::spin_loop();
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1024])))))
    }
}

#[tokio::test]
async fn what_the_host_does_for_a_plugin_is_the_plugins_time() {
    let pieces = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pieces);
    let upstream = move |_: http::Request<Bytes>| {
        let response = http::Response::new(body_of(Laborious(Arc::clone(&counted))));
        std::future::ready(Ok::<_, UpstreamError>(response))
    };
    let attacked = Attack::by("reads_to_the_end")
        .within(hasty())
        .against(upstream)
        .run()
        .await;
    attacked.struck_out(Limit, [CPU; 3]);
    // As ticks of the epoch alone they would be thirty in each of three calls.
    let pieces = pieces.load(Ordering::Relaxed);
    assert!((3..=9).contains(&pieces), "{pieces}");
    assert!(attacked.ledger.usage.cpu_ms >= 1_200);
}

#[tokio::test]
async fn random_bytes_without_end_are_stopped() {
    let attacked = Attack::by("endless_random").within(hasty()).run().await;
    attacked.struck_out(Limit, [CPU; 3]);
}

#[tokio::test]
async fn an_endless_recursion_fills_its_own_stack_and_no_other() {
    let attacked = Attack::by("endless_recursion").run().await;
    let below = "The plugin trapped: wasm trap: out of bounds memory access.";
    let full = "The plugin trapped: wasm trap: call stack exhausted.";
    let expected = [(Trap, below), (Limit, full), (Limit, full)];
    let expected = expected.map(|(kind, sentence)| (kind, "collect-batch", sentence.to_owned()));
    assert_eq!(attacked.faults(), expected);
    assert!(attacked.records.is_empty());
    for (fault, name) in attacked.ledger.contents[0]
        .faults
        .iter()
        .zip(["descend", "fall"])
    {
        assert!((10..=30).contains(&fault.backtrace.len()), "{fault:?}");
        assert!(fault.backtrace[0].contains(name), "{fault:?}");
    }
}

#[tokio::test]
async fn a_memory_bomb_ends_at_its_limit() {
    let limits = Limits {
        memory_bytes: 16 << 20,
        ..Limits::default()
    };
    let attacked = Attack::by("memory_bomb").within(limits).run().await;
    for (kind, call, sentence) in attacked.faults() {
        assert_eq!((kind, call), (Limit, "collect-batch"));
        assert!(
            sentence.starts_with("The plugin ran out of room (memory: ")
                && sentence.ends_with(" bytes wanted, 16777216 allowed)."),
            "{sentence}"
        );
    }
    assert_eq!(attacked.faults().len(), 3);
    assert!(attacked.records.is_empty());
    let peak = attacked.ledger.usage.memory_peak_bytes;
    assert!((14 << 20..=16 << 20).contains(&peak), "{peak} bytes");
}

#[tokio::test]
async fn a_sleep_for_ever_ends_with_the_calls_time() {
    let attack = Attack::by("sleeps_for_ever");
    let clock = attack.clock();
    let before = clock.elapsed();
    let attacked = attack.run().await;
    let late = "The plugin was stopped: one call may take 120 s, waiting for the vendor not counted (`call_seconds`).";
    attacked.struck_out(Limit, [late; 3]);
    let passed = clock.elapsed() - before;
    // Three calls, two pauses of one and two seconds, and the time that it was held back.
    assert_eq!(passed, Duration::from_secs(3 * 120 + 3 + 301));
}

#[tokio::test]
async fn a_flood_of_handles_ends_at_its_limit() {
    let attacked = Attack::by("handle_flood").run().await;
    let full = "The plugin was stopped: more handles are open than allowed (`handles`).";
    attacked.struck_out(Limit, [full; 3]);
}

#[tokio::test]
async fn lists_that_no_host_call_may_copy_are_refused_before_they_are() {
    let limits = Limits {
        hostcall_bytes: 16 << 20,
        memory_bytes: 128 << 20,
        ..Limits::default()
    };
    let attacked = Attack::by("huge_list").within(limits).run().await;
    let full = "The plugin was stopped: one call of a host function may not carry that much out of the plugin (`hostcall_mib`).";
    attacked.struck_out(Limit, [full; 3]);
}

#[tokio::test]
async fn endless_output_is_thrown_away_and_its_end_kept() {
    let attacked = Attack::by("endless_output").within(hasty()).run().await;
    attacked.struck_out(Limit, [CPU; 3]);
    for fault in &attacked.ledger.contents[0].faults {
        let kept = fault.panic.as_deref().unwrap();
        assert!(kept.len() <= 8 * 1024 && kept.starts_with("xxx"));
    }
}

#[tokio::test]
async fn zeroes_and_random_bytes_without_end_are_not_made() {
    let attacked = Attack::by("huge_zeroes").run().await;
    let zeroes = "The plugin trapped: cannot write more zeroes than `check_write` allows.";
    attacked.struck_out(
        Trap,
        [
            "The plugin trapped: requested len 1099511627776 exceeds limit 67108864.",
            zeroes,
            zeroes,
        ],
    );
}

#[tokio::test]
async fn a_plugin_that_exits_ends_its_own_call_only() {
    let attacked = Attack::by("exits").run().await;
    let exited = |status| format!("The plugin trapped: Exited with i32 exit status {status}.");
    attacked.struck_out(Trap, [&exited(1), &exited(0), &exited(0)]);
}

#[tokio::test]
async fn a_plugin_that_panicked_is_never_called_again() {
    let attacked = Attack::by("panics").run().await;
    let trap = "The plugin trapped: wasm trap: wasm `unreachable` instruction executed.";
    attacked.struck_out(Trap, [trap; 3]);
    for fault in &attacked.ledger.contents[0].faults {
        let panic = fault.panic.as_deref().unwrap();
        assert!(panic.contains("\ncall 1 of this instance"), "{panic}");
        let frames = fault.backtrace.join("\n");
        assert!(frames.contains("panics::"), "{frames}");
    }
}

#[tokio::test]
async fn memory_that_a_plugin_does_not_have_cannot_be_read() {
    let attacked = Attack::by("out_of_bounds").run().await;
    let outside = "The plugin trapped: wasm trap: out of bounds memory access.";
    attacked.struck_out(Trap, [outside; 3]);
}

#[tokio::test]
async fn nothing_of_a_batch_that_trapped_is_kept() {
    let attacked = Attack::by("traps_midway").run().await;
    let trap = "The plugin trapped: wasm trap: wasm `unreachable` instruction executed.";
    attacked.struck_out(Trap, [trap; 3]);
    let panic = attacked.ledger.contents[0].faults[2].panic.as_deref();
    let panic = panic.unwrap();
    assert!(panic.contains("emitted ok, put true, seen true"), "{panic}");
}

#[tokio::test]
async fn nothing_of_a_batch_that_returned_an_error_is_kept() {
    let attacked = Attack::by("fails_midway").run().await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Failed);
    let failure = attacked.ledger.contents[0].failure.as_ref().unwrap();
    assert_eq!(failure.message, "emitted ok, put true");
    assert_eq!((attacked.records.len(), attacked.cache.len()), (0, 0));
    assert_eq!(attacked.cursor, None);
}

#[tokio::test]
async fn a_batch_that_moves_nothing_for_ever_is_given_up() {
    let limits = Limits {
        idle_batches: 20,
        ..Limits::default()
    };
    let attacked = Attack::by("stays_where_it_is").within(limits).run().await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Failed);
    assert_eq!(
        attacked.ledger.reason,
        "things: 20 batches in a row brought nothing and moved nothing"
    );
    // The first moved the cursor.
    assert_eq!(attacked.ledger.contents[0].batches, 21);
}

#[tokio::test]
async fn a_walk_that_never_ends_is_cut_into_runs() {
    let limits = Limits {
        run_batches: 20,
        ..Limits::default()
    };
    let attacked = Attack::by("goes_on_for_ever").within(limits).run().await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Postponed);
    assert_eq!(
        attacked.ledger.reason,
        "things: one run may take 20 batches of a content type (`run_batches`); the next goes on from here"
    );
    assert_eq!(attacked.records.len(), 20);
    assert_eq!(attacked.cursor.unwrap().len(), 20, "nothing is lost");
}

#[tokio::test]
async fn records_without_end_are_cut_into_runs_by_their_size() {
    let limits = Limits {
        run_bytes: 5_000,
        ..Limits::default()
    };
    let attacked = Attack::by("goes_on_for_ever").within(limits).run().await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Postponed);
    assert!(
        attacked
            .ledger
            .reason
            .contains("(`run_mib`); the next goes on"),
        "{}",
        attacked.ledger.reason
    );
    let most = attacked.ledger.contents[0].bytes;
    assert!((5_000..10_000).contains(&most), "{most}");
}

#[tokio::test]
async fn a_wait_until_the_end_of_time_is_a_day() {
    let attack = Attack::by("waits_for_ever");
    let clock = attack.clock();
    let now = clock.now_ms();
    let attacked = attack.run().await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Postponed);
    assert_eq!(attacked.ledger.resume_at, Some(now + 86_400_000));
    assert_eq!(attacked.ledger.waited_ms, 0);
}

#[tokio::test]
async fn a_cursor_of_a_hundred_megabytes_is_refused() {
    let limits = Limits {
        memory_bytes: 256 << 20,
        ..Limits::default()
    };
    let attacked = Attack::by("huge_answers").within(limits).run().await;
    let expected = [
        (
            Limit,
            "The plugin was stopped: one call of a host function may not carry that much out of the plugin (`hostcall_mib`).",
        ),
        (
            Contract,
            "The plugin returned a cursor of 70000 bytes, at most 65536 are allowed; the batch was discarded.",
        ),
        (
            Contract,
            "The plugin returned a report of 9000019 bytes, at most 8388608 are allowed; the batch was discarded.",
        ),
    ];
    let expected = expected.map(|(kind, sentence)| (kind, "collect-batch", sentence.to_owned()));
    assert_eq!(attacked.faults(), expected);
    assert!(attacked.records.is_empty());
}

//! 10,000 connectors that wait in one process that serves: its memory, its processor time over a minute or longer, and how
//! soon it answers. Figures are printed, never judged.
//!
//! `IDLE_SECONDS` to watch it (60); `IDLE_CONNECTORS` (10000).

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use std::time::{Duration, Instant};
    use tests::crowd;
    use tests::desk::Desk;

    let number = |name: &str, default: u32| {
        let text = std::env::var(name).ok();
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let connectors = number("IDLE_CONNECTORS", crowd::CROWD);
    let seconds = number("IDLE_SECONDS", 60);
    let desk = Desk::new(env!("CARGO_BIN_EXE_host-under-test"));
    crowd::fill(&desk, connectors);
    let serving = desk.serve();
    let mib = |bytes: u64| bytes >> 20;
    for path in [
        "/connectors",
        "/connectors?sort=-last_data_received&offset=5000",
        "/status",
    ] {
        let asked = Instant::now();
        desk.ask("GET", path);
        println!("{path}: {} ms", asked.elapsed().as_millis());
    }
    println!(
        "memory after the first answers: {} MiB",
        mib(crowd::resident(serving.id())?)
    );
    let before = crowd::processor_time(serving.id())?;
    std::thread::sleep(Duration::from_secs(seconds.into()));
    let hundredths = crowd::processor_time(serving.id())? - before;
    println!(
        "{connectors} idle connectors for {seconds} s: {} MiB, {:.2} % of a core",
        mib(crowd::resident(serving.id())?),
        f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / f64::from(seconds.max(1)),
    );
    desk.end(serving);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("measured where /proc says what a process takes");
}

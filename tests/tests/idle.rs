//! Thousands of connectors that wait cost next to nothing.
#![cfg(target_os = "linux")]

use tests::crowd::{CROWD, fill, resident};
use tests::desk::Desk;

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");

#[test]
fn ten_thousand_idle_connectors_fit_into_200_mebibytes() {
    let desk = Desk::new(HOST);
    fill(&desk, CROWD);
    let serving = desk.serve();
    let page = desk.ask("GET", "/connectors?sort=-due&limit=100&q=scanner-99");
    let listed = page["connectors"].as_array().unwrap();
    // 99, 990 to 999, 9900 to 9999.
    assert_eq!((&page["total"], listed.len()), (&111.into(), 100));
    assert_eq!(listed[0]["status"]["state"], "healthy");
    assert_eq!(listed[0]["profiles"][0], "Default");
    let page = desk.ask("GET", "/connectors?tenant=tenant-07&offset=499");
    assert_eq!(
        (&page["total"], &page["connectors"][0]["name"]),
        (&500.into(), &"scanner-9986".into())
    );
    assert_eq!(page["connectors"].as_array().unwrap().len(), 1);
    // The schedule has placed them all before it has written that of each.
    let status = desk.ask("GET", "/status");
    assert_eq!(status["states"]["healthy"], CROWD);
    let resident = resident(serving.id()).unwrap();
    assert!(resident < 200 << 20, "{} MiB", resident >> 20);
    assert_eq!(desk.ask("GET", "/runs")["total"], 0, "none is due");
    desk.end(serving);
    desk.assert_no_secret();
}

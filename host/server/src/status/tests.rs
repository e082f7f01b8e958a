use super::*;

fn facts(state: Option<State>) -> Facts {
    Facts {
        active: true,
        run_on: DATA_PROCESSOR.into(),
        in_profile: true,
        verdict: state.map(|state| {
            let reason = "so it was".to_owned();
            (Verdict { state, reason }, 70)
        }),
        told: Some((State::NeverRun, 5)),
        ..Facts::default()
    }
}

#[test]
fn zero_is_healthy_and_every_state_has_a_code_and_a_name_of_its_own() {
    assert_eq!(State::Healthy.code(), 0);
    for (number, state) in State::ALL.into_iter().enumerate() {
        assert_eq!(state.code() as usize, number);
        assert_eq!(State::of_name(state.as_str()), Some(state));
        let document = serde_json::to_value(state).unwrap();
        assert_eq!(document, state.as_str());
    }
}

#[test]
fn what_was_switched_off_hides_what_the_last_run_came_to_and_does_not_forget_it() {
    let mut facts = facts(Some(State::Failing));
    facts.running = Some(90);
    facts.suspended = Some("it asks for more".into());
    facts.in_profile = false;
    facts.active = false;
    let mut states = vec![facts.status(100).state];
    facts.active = true;
    states.push(facts.status(100).state);
    facts.in_profile = true;
    states.push(facts.status(100).state);
    facts.running = None;
    states.push(facts.status(100).state);
    facts.suspended = None;
    states.push(facts.status(100).state);
    use State::{Collecting, Failing, Inactive, NotInAProfile, Suspended};
    assert_eq!(
        states,
        [Inactive, NotInAProfile, Collecting, Suspended, Failing]
    );
    assert_eq!(facts.status(100).since_ms, 70);
}

#[test]
fn a_state_lasts_from_when_it_was_first_told() {
    let mut facts = facts(None);
    assert_eq!(
        (facts.status(100).state, facts.status(100).since_ms),
        (State::NeverRun, 5)
    );
    facts.due = Some(100);
    let status = facts.status(100);
    assert_eq!((status.state, status.since_ms), (State::Waiting, 100));
    facts.told = Some((State::Waiting, 100));
    assert_eq!(facts.status(200).since_ms, 100);
}

#[test]
fn a_wait_that_is_over_is_no_wait() {
    let mut facts = facts(Some(State::WaitingForQuota));
    facts.not_before = Some(200);
    let status = facts.status(199);
    assert_eq!(
        (status.state, status.until_ms),
        (State::WaitingForQuota, Some(200))
    );
    let status = facts.status(200);
    assert_eq!((status.state, status.until_ms), (State::Waiting, None));
}

#[test]
fn the_readme_names_every_state_with_its_code() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let table = readme.split("| state | code | means |").nth(1).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let rows: Vec<(String, String)> = rows
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let mut next = || cells.next().unwrap().trim_matches('`').to_owned();
            (next(), next())
        })
        .collect();
    let states = State::ALL.map(|state| (state.as_str().to_owned(), state.code().to_string()));
    assert_eq!(rows, states);
}

//! `doctor`: a verdict on everything, and what to do.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::doctor::{self, Examination, Verdict};
use crate::failure::Failure;
use crate::report::printable;

/// Looks at everything; ends with 1 if there is a problem.
///
/// # Errors
/// As [`doctor::examine`].
pub(crate) async fn run(global: &Global) -> Result<Answer, Failure> {
    let examination = doctor::examine(global).await?;
    let exit = u8::from(examination.verdict == Verdict::Problem);
    Ok(Answer::new(describe(&examination), &examination, exit))
}

fn describe(examination: &Examination) -> String {
    let mut text = String::new();
    for finding in &examination.checks {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        };
        text.push_str(&format!(
            "{verdict:<9}{:<16}{}\n",
            finding.check,
            printable(&finding.message)
        ));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&format!("{:25}{}\n", "", printable(remedy)));
        }
    }
    let count = |verdict| {
        let findings = examination.checks.iter();
        findings
            .filter(|finding| finding.verdict == verdict)
            .count() as u64
    };
    text.push_str(&match examination.verdict {
        Verdict::Ok => "Everything is in order.".into(),
        _ => format!(
            "{} and {}.",
            crate::figures::counted(count(Verdict::Problem), "problem"),
            crate::figures::counted(count(Verdict::Warning), "warning")
        ),
    });
    text
}

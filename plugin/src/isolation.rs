//! Isolation: a host that spoils every page it is on is found, set aside and stepped over.
//!
//! Pages get smaller with each attempt until the host is alone on its page; then its ID is known, or asked for.

use crate::batch::BatchState;
use crate::client;
use crate::document::{Document, Element};
use crate::environment::{Body, Environment};
use crate::fault::{Fault, FaultKind};
use crate::request::{self, Endpoint, Page};
use crate::settings::Settings;
use crate::walk::Session;

/// A host alone on its page is tried so often before it is stepped over.
const ATTEMPTS: u32 = 2;
/// After so many hosts in a row whose answers ended early it is the server that cuts them, and not a host that spoils them.
const CUT_IN_A_ROW: u32 = 3;
/// It is then given more time, so that a bad day of the server does not cost calls for each host of the estate. So is a connection that breaks, which
/// mostly is the network's doing, and an answer that does not even begin.
const PATIENT_ATTEMPTS: u32 = 10;
/// From this attempt on a page has one host, however large pages are otherwise: halving alone would not get there.
pub(crate) const ALONE_FROM: u32 = PATIENT_ATTEMPTS - 1;

/// What a host can do to the page it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoilt {
    Malformed,
    /// The answer ends as if it were complete.
    Cut,
    /// The connection breaks off in the answer, or in front of it.
    Broken,
}

impl Spoilt {
    fn by(fault: &Fault) -> Option<Self> {
        match (fault.code.as_str(), fault.kind) {
            ("malformed-xml", _) => Some(Self::Malformed),
            ("truncated-body", FaultKind::Malformed) => Some(Self::Cut),
            ("truncated-body" | "connection", FaultKind::Unavailable) => Some(Self::Broken),
            _ => None,
        }
    }
}

impl<B: Body> Session<B> {
    /// True if the page could not be read because of one host, which was then stepped over.
    pub(crate) fn step_over<E: Environment>(
        &mut self,
        environment: &mut E,
        settings: &Settings,
        batch: &mut BatchState,
        fault: &Fault,
    ) -> bool {
        let (Some(spoilt), Some(walk)) = (Spoilt::by(fault), self.cursor.walk.as_ref()) else {
            return false;
        };
        let position = walk.id_min;
        // Without a page nothing came but the fault.
        let read = self.page.as_ref().and_then(|page| match &page.current {
            Some(host) => Some(host.record.id),
            None => page
                .chunks
                .front()
                .and_then(|chunk| chunk.id.as_deref())
                .or_else(|| page.reader.open_host())
                .and_then(|id| id.trim().parse::<u64>().ok()),
        });
        let read = read.filter(|id| *id >= position);
        let skipped = read.is_some_and(|id| batch.options.skip.contains(&id.to_string()));
        let patient = spoilt == Spoilt::Broken
            || self.page.is_none()
            || (spoilt == Spoilt::Cut && walk.cut_in_a_row >= CUT_IN_A_ROW);
        let attempts = if patient { PATIENT_ATTEMPTS } else { ATTEMPTS };
        // A large host of which each attempt brings more is no lost one.
        let given_up =
            walk.page == 1 && batch.first_page && !batch.progress && batch.attempt >= attempts;
        if !skipped && !given_up {
            return false;
        }
        let Some(id) = read.or_else(|| self.ask_for_id(environment, settings, batch, position))
        else {
            return false;
        };
        self.page = None;
        let Some(walk) = self.cursor.walk.as_mut() else {
            return false;
        };
        let object = id.to_string();
        if skipped {
            batch.report.set_aside(
                object,
                "skipped",
                "The host is on the list of hosts to leave out.",
            );
        } else {
            walk.cut_in_a_row += u32::from(spoilt != Spoilt::Malformed);
            batch.report.set_aside(
                object,
                fault.code.clone(),
                format!(
                    "Even a page with this host alone cannot be read ({}).",
                    fault.message.trim_end_matches('.')
                ),
            );
            walk.complete = false;
        }
        walk.id_min = id.saturating_add(1);
        walk.host = None;
        batch.progress = true;
        true
    }

    /// The ID of the next host, from a call that returns nothing else of it.
    pub(crate) fn ask_for_id<E: Environment>(
        &mut self,
        environment: &mut E,
        settings: &Settings,
        batch: &mut BatchState,
        position: u64,
    ) -> Option<u64> {
        let after = self.cursor.walk.as_ref()?.after.clone();
        // The open answer holds one of the few calls that may run at the same time.
        self.page = None;
        let request = request::next_id(
            settings,
            &Page {
                id_min: position,
                size: 1,
                after,
            },
        );
        batch.opened += 1;
        let root = Endpoint::Hosts.root();
        let answer = client::small(environment, &request, root, Endpoint::Hosts.label()).ok()?;
        let document = Document::read(&answer)?;
        let first = document
            .children_of("ID_SET")
            .flatten()
            .find_map(Element::text)?;
        let first = first.split('-').next()?.trim().parse::<u64>().ok()?;
        (first >= position).then_some(first)
    }
}

//! Changed broker settings reach the members while they run: each is told, all in one round, because nothing is disturbed by it. Where an
//! agent has them from is no matter: a file that came late to its start is made up for in the same way.

use streamkeeper_proto::settings_digest;

use super::{Next, Plan, Step, WaitFor, Why, member};
use crate::desired::Desired;
use crate::ensemble::observed::Observed;

/// Tells every member that serves with other settings than the wanted ones. One that is to be restarted has them then; it may be of a
/// version that does not know them, and its refusal must not hold up the very restart that ends it.
pub(super) fn follow(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    let settings = desired.ensemble.settings();
    let wanted = settings_digest(&settings);
    for (id, m) in observed.staying().filter(|(_, m)| m.ready && !m.process.outdated) {
        match m.settings.as_deref() {
            None => plan.wait(WaitFor::Settings, member(id)),
            // An agent of a version that has them from its file alone.
            Some("") => {}
            Some(told) if told == wanted => {}
            Some(_) => {
                let step = Step::ConfigureBroker { member: id, settings: settings.clone() };
                plan.step(step, Why::SettingsChanged);
            }
        }
    }
    Next::Go
}

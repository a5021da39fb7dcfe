//! Volumes grow by themselves once they were asked to, which is done before any plan is made: here they are waited for, and nothing
//! waits for them.

use super::{Next, Plan, WaitFor, member};
use crate::desired::Desired;
use crate::ensemble::observed::Observed;

/// Says which volumes are smaller than they shall be.
pub(super) fn growing(_: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    for (id, m) in observed.staying() {
        if let Some(growth) = &m.process.growth {
            plan.wait(WaitFor::Growth(growth.clone()), member(id));
        }
    }
    Next::Go
}

//! Replicas are spread evenly. The agents do it; here it is only said whether they shall do it by themselves, and how fast.

use super::{Next, Plan, Step, WaitFor, Why};
use crate::crd::RebalanceMode;
use crate::desired::Desired;
use crate::ensemble::observed::{Activity, Observed};
use crate::quantity;

/// What moves may use on one member unless the manifest says it.
pub const MAX_BYTES_PER_SECOND: i64 = 50 * 1024 * 1024;

/// Sets the policy, then waits while replicas move. A skew that nobody shall repair is not waited for.
pub(super) fn follow(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    let spec = &desired.ensemble.rebalance;
    let auto = spec.mode == RebalanceMode::Auto;
    let wanted = spec.max_bytes_per_second.as_deref().and_then(quantity::bytes);
    let max_bytes_per_second = wanted.unwrap_or(MAX_BYTES_PER_SECOND);
    let rebalance = &observed.rebalance;
    if (auto, max_bytes_per_second) != (rebalance.auto, rebalance.max_bytes_per_second) {
        plan.step(Step::ConfigureRebalance { auto, max_bytes_per_second }, Why::PolicyChanged);
        return Next::Stop;
    }
    let pending = match rebalance.activity {
        Activity::Moving | Activity::Waiting => true,
        Activity::Idle => !rebalance.balanced && auto,
        Activity::Unasked | Activity::Cancelled => false,
    };
    if pending {
        let (replicas_max, replicas_min) = rebalance.replicas;
        let who = if rebalance.waiting_for.is_empty() {
            "the rebalance".to_owned()
        } else {
            format!("the rebalance ({})", rebalance.waiting_for)
        };
        plan.wait(WaitFor::Balanced { replicas_max, replicas_min, moving: rebalance.moving }, who);
    }
    Next::Go
}

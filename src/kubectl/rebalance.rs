//! `rebalance plan|start|status|cancel`: asks the agents, who decide and move by themselves.
//!
//! Read first: [`rebalance`].

use anyhow::Result;
use serde_json::{Value, json};
use streamkeeper_operator::agents::{Agents, Move, PlanResponse, Progress, ProgressState, Skew};

use super::cli::Action;
use super::fetch::Cluster;
use super::forward;
use crate::describe::{Form, print};
use crate::page::Page;
use crate::terminal::{bytes, duration, say};

/// Carries an action out at the agents of an ensemble, and shows what they say.
///
/// # Errors
/// No agent can be reached, or they refuse.
pub(super) async fn rebalance(cluster: &Cluster, action: Action, name: &str, form: Form) -> Result<()> {
    let agents = forward::agents(cluster, name).await?;
    let (value, page) = match action {
        Action::Plan => {
            let plan = agents.plan_rebalance().await?;
            (plan_value(&plan), plan_page(&plan))
        }
        Action::Start => {
            let moving = agents.start_rebalance().await?.moving;
            (json!({"moving": moving}), line(&started(name, moving)))
        }
        Action::Status => {
            let progress = agents.rebalance().await?;
            (progress_value(&progress), progress_page(&progress))
        }
        Action::Cancel => {
            let moves = agents.cancel_rebalance().await?.moves;
            (json!({"moves": moves}), line(&cancelled(name, moves)))
        }
    };
    if form != Form::Text {
        return print(&value, form);
    }
    say(page.text());
    Ok(())
}

fn line(text: &str) -> Page {
    let mut page = Page::default();
    page.line(text);
    page
}

fn started(name: &str, moving: bool) -> String {
    if moving {
        format!("replicas move; how far: kubectl streamkeeper rebalance status {name}")
    } else {
        "there is nothing to move".to_owned()
    }
}

fn cancelled(name: &str, moves: i32) -> String {
    format!(
        "cancelled, {moves} moves were taken back; nothing moves until: kubectl streamkeeper rebalance start {name}"
    )
}

fn spread(skew: Option<&Skew>) -> String {
    let skew = skew.cloned().unwrap_or_default();
    format!("{} to {} replicas", skew.replicas_min, skew.replicas_max)
}

fn moves_table(page: &mut Page, moves: &[Move]) {
    let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let row = |m: &Move| {
        let size = if m.bytes == 0 { "-".to_owned() } else { bytes(m.bytes) };
        vec![m.topic.clone(), m.partition.to_string(), ids(&m.replicas_before), ids(&m.replicas_after), size]
    };
    page.table(
        &["topic", "partition", "before", "after", "to copy"],
        &moves.iter().map(row).collect::<Vec<_>>(),
    );
}

fn plan_page(plan: &PlanResponse) -> Page {
    let mut page = Page::default();
    if plan.moves.is_empty() {
        page.line(&format!("there is nothing to move: members hold {}", spread(plan.before.as_ref())));
    } else {
        page.line(&format!(
            "{} moves, {} to copy: members hold {} now, {} then",
            plan.moves.len(),
            bytes(plan.bytes),
            spread(plan.before.as_ref()),
            spread(plan.after.as_ref())
        ));
        page.line("");
        moves_table(&mut page, &plan.moves);
    }
    if plan.stuck > 0 {
        page.line(&format!("{} replicas cannot move away: too few members would remain", plan.stuck));
    }
    page
}

fn word(progress: &Progress) -> &'static str {
    match progress.state() {
        ProgressState::Balanced => "balanced",
        ProgressState::Running => "running",
        ProgressState::Skewed => "skewed",
        ProgressState::Cancelled => "cancelled",
        ProgressState::Waiting => "waiting",
        ProgressState::Unspecified => "unknown",
    }
}

fn progress_page(progress: &Progress) -> Page {
    let mut page = Page::default();
    let mut fields = vec![
        ("State", word(progress).to_owned()),
        ("Members hold", spread(progress.skew.as_ref())),
        ("Moves", format!("{} of {}", progress.moves_done, progress.moves_total)),
        ("Copied", format!("{} of {}", bytes(progress.bytes_done), bytes(progress.bytes_total))),
    ];
    if progress.bytes_per_second > 0 {
        fields.push(("Speed", format!("{}/s", bytes(progress.bytes_per_second))));
        let left = progress.bytes_total.saturating_sub(progress.bytes_done).max(0);
        let left_ms = left.saturating_mul(1000) / progress.bytes_per_second;
        fields.push(("Time left", duration(left_ms)));
    }
    if !progress.waiting_for.is_empty() {
        fields.push(("Waits for", progress.waiting_for.clone()));
    }
    for drain in &progress.draining {
        fields.push(("Leaving", format!("member {} still holds {} replicas", drain.member, drain.replicas)));
    }
    page.fields(&fields);
    if !progress.moving.is_empty() {
        page.section("Moving");
        moves_table(&mut page, &progress.moving);
    }
    page
}

fn move_value(m: &Move) -> Value {
    json!({
        "topic": m.topic,
        "partition": m.partition,
        "replicasBefore": m.replicas_before,
        "replicasAfter": m.replicas_after,
        "bytes": m.bytes,
    })
}

fn skew_value(skew: Option<&Skew>) -> Value {
    let skew = skew.cloned().unwrap_or_default();
    let member = |m: &streamkeeper_operator::agents::MemberLoad| json!({"member": m.member, "replicas": m.replicas, "preferred": m.preferred});
    let members: Vec<Value> = skew.members.iter().map(member).collect();
    json!({"replicasMax": skew.replicas_max, "replicasMin": skew.replicas_min, "members": members})
}

fn plan_value(plan: &PlanResponse) -> Value {
    json!({
        "moves": plan.moves.iter().map(move_value).collect::<Vec<_>>(),
        "bytes": plan.bytes,
        "before": skew_value(plan.before.as_ref()),
        "after": skew_value(plan.after.as_ref()),
        "stuck": plan.stuck,
    })
}

fn progress_value(progress: &Progress) -> Value {
    let draining: Vec<Value> =
        progress.draining.iter().map(|d| json!({"member": d.member, "replicas": d.replicas})).collect();
    json!({
        "state": word(progress),
        "balanced": progress.balanced,
        "movesDone": progress.moves_done,
        "movesTotal": progress.moves_total,
        "bytesDone": progress.bytes_done,
        "bytesTotal": progress.bytes_total,
        "bytesPerSecond": progress.bytes_per_second,
        "skew": skew_value(progress.skew.as_ref()),
        "moving": progress.moving.iter().map(move_value).collect::<Vec<_>>(),
        "draining": draining,
        "waitingFor": progress.waiting_for,
    })
}

#[cfg(test)]
mod tests {
    use streamkeeper_operator::agents::{Drain, MemberLoad};

    use super::*;
    use crate::kubectl::testing::golden;

    fn a_move(partition: i32, bytes: i64) -> Move {
        let topic = "orders".to_owned();
        Move { topic, partition, replicas_before: vec![0, 1, 2], replicas_after: vec![3, 1, 2], bytes }
    }

    fn skew(replicas_min: i32, replicas_max: i32) -> Option<Skew> {
        let members = vec![MemberLoad { member: 0, replicas: replicas_max, preferred: 3 }];
        Some(Skew { replicas_max, replicas_min, members })
    }

    #[test]
    fn a_plan_is_a_table_of_moves() {
        let moves = vec![a_move(0, 3 << 30), a_move(11, 0)];
        let plan = PlanResponse { moves, bytes: 3 << 30, before: skew(0, 18), after: skew(10, 11), stuck: 2 };
        golden("rebalance-plan", plan_page(&plan).text());
        assert_eq!(plan_value(&plan)["moves"][1]["replicasAfter"], json!([3, 1, 2]));
        let nothing = PlanResponse { before: skew(9, 9), ..PlanResponse::default() };
        assert_eq!(plan_page(&nothing).text(), "there is nothing to move: members hold 9 to 9 replicas");
    }

    #[test]
    fn progress_says_how_far_and_what_it_waits_for() {
        let progress = Progress {
            state: ProgressState::Running.into(),
            moves_done: 5,
            moves_total: 9,
            bytes_done: 5 << 20,
            bytes_total: 105 << 20,
            bytes_per_second: 10 << 20,
            skew: skew(4, 11),
            moving: vec![a_move(7, 1 << 20)],
            draining: vec![Drain { member: 2, replicas: 4 }],
            waiting_for: "room on member 1".to_owned(),
            ..Progress::default()
        };
        golden("rebalance-status", progress_page(&progress).text());
        let value = progress_value(&progress);
        assert_eq!((&value["state"], &value["bytesDone"]), (&json!("running"), &json!(5 << 20)));
        assert_eq!(word(&Progress::default()), "unknown");
    }

    #[test]
    fn what_was_done_names_the_next_command() {
        assert_eq!(started("main", false), "there is nothing to move");
        assert!(started("main", true).ends_with("kubectl streamkeeper rebalance status main"));
        assert!(cancelled("main", 2).contains("2 moves were taken back"));
    }
}

//! The plugin's verbs and their options.
//!
//! Must not know: what they do. Read first: [`Verb`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::describe::{Described, Form};

/// Ensembles and Topics of a Kubernetes cluster: how they are, what they wait for, and why.
///
/// Reads what the operator reports, with your kubeconfig and your rights. Exit status: 0 done, 1 failed, 2 wrong input,
/// 3 degraded (`status` only).
#[derive(Parser)]
#[command(
    name = "kubectl-streamkeeper",
    bin_name = "kubectl streamkeeper",
    version,
    about,
    propagate_version = true
)]
pub(crate) struct Kubectl {
    #[command(flatten)]
    pub(super) access: Access,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Which cluster and namespace, as kubectl is told.
#[derive(Args)]
pub(super) struct Access {
    /// The kubeconfig; KUBECONFIG, then ~/.kube/config, when absent.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Its context; the current one when absent.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// The namespace; the context's when absent.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(super) namespace: Option<String>,
}

#[derive(Subcommand)]
pub(super) enum Verb {
    /// One word, then the reasons; exit status 0 healthy, 1 failed, 3 degraded.
    Status {
        /// The ensemble; all of the namespace when absent, and the worst of them decides.
        name: Option<String>,
        /// How it is shown.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Show everything about an ensemble or a topic: conditions, members, what is under way.
    Describe {
        /// What.
        #[arg(value_enum)]
        what: Described,
        /// The name of the resource.
        name: String,
        /// How it is shown.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Say why something waits: what, for whom, since when, and what to do about it.
    Explain {
        /// NAME, ensemble/NAME or topic/NAME.
        name: String,
        /// How it is shown.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Look at a rebalance, begin or stop one.
    Rebalance {
        /// What to do.
        #[arg(value_enum)]
        action: Action,
        /// The ensemble.
        name: String,
        /// How it is shown.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Print the logs of the agents, each line behind the name of its pod.
    Logs {
        /// The ensemble.
        name: String,
        /// Only this member.
        #[arg(short, long, value_name = "N")]
        member: Option<i32>,
        /// Go on with what is written from now.
        #[arg(short, long)]
        follow: bool,
        /// Lines of each agent at most, the last ones.
        #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
        tail: Option<i64>,
        /// Of the container before the last restart.
        #[arg(short, long, conflicts_with = "follow")]
        previous: bool,
    },
}

/// What to do with a rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Action {
    /// Show which moves would be made; changes nothing.
    Plan,
    /// Move replicas until members hold alike.
    Start,
    /// Show how far it is.
    Status,
    /// Stop: moves under way are taken back.
    Cancel,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn refused(arguments: &[&str]) -> ErrorKind {
        let all = ["kubectl-streamkeeper"].iter().chain(arguments);
        Kubectl::try_parse_from(all).map(|_| ()).expect_err("refused").kind()
    }

    #[test]
    fn the_verbs_hang_together() {
        Kubectl::command().debug_assert();
    }

    #[test]
    fn kubectls_options_go_before_and_after_the_verb() {
        for arguments in [["-n", "team", "status", "main"], ["status", "main", "-n", "team"]] {
            let all = ["kubectl-streamkeeper"].iter().chain(&arguments);
            let kubectl = Kubectl::try_parse_from(all).expect("accepted");
            assert_eq!(kubectl.access.namespace.as_deref(), Some("team"));
            assert!(matches!(kubectl.verb, Verb::Status { name: Some(name), .. } if name == "main"));
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        assert_eq!(refused(&["describe", "pod", "main"]), ErrorKind::InvalidValue);
        assert_eq!(refused(&["describe", "topic"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused(&["rebalance", "resume", "main"]), ErrorKind::InvalidValue);
        assert_eq!(refused(&["rebalance", "plan"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused(&["logs", "main", "--member", "zero"]), ErrorKind::ValueValidation);
        assert_eq!(refused(&["logs", "main", "--tail", "-1"]), ErrorKind::UnknownArgument);
        assert_eq!(refused(&["logs", "main", "-f", "-p"]), ErrorKind::ArgumentConflict);
        assert_eq!(refused(&["status", "main", "-o", "table"]), ErrorKind::InvalidValue);
        assert_eq!(refused(&["up"]), ErrorKind::InvalidSubcommand);
    }
}

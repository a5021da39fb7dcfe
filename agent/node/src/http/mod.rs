//! HTTP of an agent, for those who speak no gRPC: `/livez`, `/readyz` (with `?verbose` each check on a line, as Kubernetes' own components
//! print it) and `/metrics` in Prometheus' text form. Read-only and plaintext.
//!
//! Must not know: the rules. Read first: [`serve`]; what is told is `grpc/health.rs` and [`metrics`].

mod metrics;
mod process;

use std::net::TcpListener as StdListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::grpc::{Agent, Health};

/// The form of the text (Prometheus' exposition format).
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until the runtime ends.
///
/// # Errors
/// The listener cannot be used.
pub(crate) async fn serve(listener: StdListener, agent: Arc<Agent>) -> Result<(), String> {
    let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    let app = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(agent);
    axum::serve(listener, app).await.map_err(|error| format!("the HTTP server ended: {error}"))
}

async fn live(State(agent): State<Arc<Agent>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let health = Health::now(&agent);
    answer("livez", &[("process", health.process)], query.as_deref())
}

async fn ready(State(agent): State<Arc<Agent>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let health = Health::now(&agent);
    let checks = [("process", health.process), ("zookeeper", health.zookeeper), ("kafka", health.kafka)];
    answer("readyz", &checks, query.as_deref())
}

async fn scrape(State(agent): State<Arc<Agent>>) -> impl IntoResponse {
    let view = agent.view().borrow().clone();
    let text = metrics::text(agent.member, &view, &process::read());
    ([(header::CONTENT_TYPE, TEXT)], text)
}

/// `ok`, or the checks line by line where one failed or somebody asks for them.
fn answer(name: &str, checks: &[(&str, bool)], query: Option<&str>) -> (StatusCode, String) {
    let passed = checks.iter().all(|(_, good)| *good);
    let is_verbose =
        query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    let status = if passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if passed && !is_verbose {
        return (status, "ok".to_owned());
    }
    let line = |(check, good): &(&str, bool)| {
        if *good { format!("[+]{check} ok\n") } else { format!("[-]{check} failed\n") }
    };
    let lines: String = checks.iter().map(line).collect();
    let verdict = if passed { "passed" } else { "failed" };
    (status, format!("{lines}{name} check {verdict}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_listed_when_one_fails_or_somebody_asks() {
        let good = [("process", true), ("kafka", true)];
        assert_eq!(answer("readyz", &good, None), (StatusCode::OK, "ok".to_owned()));
        let listed = "[+]process ok\n[+]kafka ok\nreadyz check passed\n";
        for query in ["verbose", "verbose=true", "a=1&verbose"] {
            assert_eq!(answer("readyz", &good, Some(query)), (StatusCode::OK, listed.to_owned()));
        }
        let (status, text) = answer("readyz", &[("process", true), ("kafka", false)], None);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "[+]process ok\n[-]kafka failed\nreadyz check failed\n");
    }
}

//! `/livez`, `/readyz` and `/metrics`, for the kubelet and Prometheus: a request's first line is read, the answer closes the connection.
//!
//! Read first: [`serve`].

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request's head is at most this long.
const HEAD_BYTES_MAX: usize = 8192;
/// A request comes within this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that are answered at the same time; more wait.
const CONNECTIONS_MAX: usize = 32;

/// What is answered.
pub trait Answers {
    /// Caches are filled: the operator can take over.
    fn is_ready(&self) -> bool;
    /// Prometheus' text format.
    fn metrics(&self) -> String;
}

/// Answers until the task is dropped.
pub async fn serve(listener: TcpListener, answers: Rc<dyn Answers>) {
    let free = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answers = Rc::clone(&answers);
                tokio::task::spawn_local(async move {
                    let _permit = permit;
                    // A client that goes away early is its own affair.
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, &*answers)).await;
                });
            }
            // Out of descriptors: some come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, answers: &dyn Answers) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await?;
        if read == 0 || head.len() + read > HEAD_BYTES_MAX {
            return Ok(());
        }
        head.extend_from_slice(&part[..read]);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let (status, body) = respond(&String::from_utf8_lossy(line), answers);
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Status and body for a request's first line.
fn respond(line: &str, answers: &dyn Answers) -> (&'static str, String) {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method != "GET" {
        return ("405 Method Not Allowed", "only GET is answered\n".to_owned());
    }
    match target.split('?').next().unwrap_or_default() {
        "/livez" => ("200 OK", "ok\n".to_owned()),
        "/readyz" if answers.is_ready() => ("200 OK", "ok\n".to_owned()),
        "/readyz" => ("503 Service Unavailable", "the caches are not filled yet\n".to_owned()),
        "/metrics" => ("200 OK", answers.metrics()),
        _ => ("404 Not Found", "/livez, /readyz and /metrics are there\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(bool);

    impl Answers for Fixed {
        fn is_ready(&self) -> bool {
            self.0
        }

        fn metrics(&self) -> String {
            "up 1\n".to_owned()
        }
    }

    #[test]
    fn three_paths_are_answered_and_nothing_else() {
        let status = |line: &str, ready| respond(line, &Fixed(ready)).0;
        assert_eq!(status("GET /livez HTTP/1.1", false), "200 OK");
        assert_eq!(status("GET /readyz?verbose HTTP/1.1", false), "503 Service Unavailable");
        assert_eq!(status("GET /readyz HTTP/1.1", true), "200 OK");
        assert_eq!(respond("GET /metrics HTTP/1.1", &Fixed(true)).1, "up 1\n");
        assert_eq!(status("GET / HTTP/1.1", true), "404 Not Found");
        assert_eq!(status("POST /livez HTTP/1.1", true), "405 Method Not Allowed");
        assert_eq!(status("", true), "405 Method Not Allowed");
    }
}

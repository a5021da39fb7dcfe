//! `ready`: asks an operator over HTTP whether it is ready. The chart's `helm test` runs it: the image has nothing else that could ask.
//!
//! Read first: [`ready`].

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::terminal::say;

/// How long one connection may take, to open and to answer each.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long after one question the next is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Asks `/readyz` at `address` (`host:port`) until the answer is 200, for `timeout` at most.
///
/// # Errors
/// It never was; the last answer is told.
pub(crate) fn ready(address: &str, timeout: Duration) -> Result<()> {
    let started = Instant::now();
    loop {
        let why = match ask(address) {
            Ok((200, body)) => {
                say(body.trim_end());
                return Ok(());
            }
            Ok((status, body)) => format!("answers {status}: {}", body.trim_end()),
            Err(error) => format!("{error:#}"),
        };
        if started.elapsed() + PAUSE > timeout {
            bail!("{address} is not ready after {} s: {why}", started.elapsed().as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}

/// The status and the body of the answer.
fn ask(address: &str) -> Result<(u16, String)> {
    let found: Vec<_> = address.to_socket_addrs().context("no such address")?.collect();
    let mut connected = Err(anyhow!("no such address"));
    for socket in found {
        connected = TcpStream::connect_timeout(&socket, PATIENCE).with_context(|| socket.to_string());
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer ends with the connection and comes in one piece.
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).context("no answer")?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status =
        head.strip_prefix("HTTP/1.").and_then(|line| line.get(2..5)).and_then(|code| code.parse().ok());
    Ok((status.context("the answer is not HTTP")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that gives these answers, one per connection.
    fn server(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut asked = [0; 512];
                let length = stream.read(&mut asked).expect("a question");
                assert!(asked[..length].starts_with(b"GET /readyz HTTP/1.0\r\n"));
                stream.write_all(answer.as_bytes()).expect("the answer is taken");
            }
        });
        address
    }

    #[test]
    fn ready_is_an_answer_of_200() {
        let address = server(&["HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n"]);
        ready(&address, Duration::ZERO).expect("it is ready");
    }

    #[test]
    fn it_is_asked_again_until_the_time_is_over() {
        let address =
            server(&["HTTP/1.1 503 Service Unavailable\r\n\r\nno watch yet", "HTTP/1.1 200 OK\r\n\r\nok"]);
        ready(&address, Duration::from_secs(30)).expect("it is ready at the second time");
        let address = server(&["HTTP/1.1 503 Service Unavailable\r\n\r\nno watch yet"]);
        let error = ready(&address, Duration::ZERO).expect_err("it is not").to_string();
        assert!(error.ends_with("not ready after 0 s: answers 503: no watch yet"), "{error}");
    }

    #[test]
    fn what_is_not_there_or_no_operator_is_not_ready() {
        let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        assert!(ready(&gone.to_string(), Duration::ZERO).is_err());
        let error = ready(&server(&["hello"]), Duration::ZERO).expect_err("no HTTP").to_string();
        assert!(error.contains("the answer is not HTTP"), "{error}");
        assert!(ready("no-port", Duration::ZERO).is_err());
    }
}

//! SASL DIGEST-MD5 as ZooKeeper's server speaks it (RFC 2831; ZooKeeperSaslServer, SaslServerCallbackHandler).
//!
//! Must not know: connections. Read first: [`Exchange`].

use std::collections::BTreeMap;
use std::fmt::Write;

use md5::{Digest, Md5};

/// The realm and host name that ZooKeeper's clients and servers have agreed on.
const REALM: &str = "zk-sasl-md5";
const DIGEST_URI: &str = "zookeeper/zk-sasl-md5";
/// Directives of one response at most; a client needs about ten.
const DIRECTIVES_MAX: usize = 32;

/// One client's exchange: a challenge goes out, a response comes back, once.
#[derive(Debug)]
pub(crate) struct Exchange {
    nonce: String,
}

/// The client did not prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Exchange {
    /// Begins an exchange; the nonce must never come twice.
    pub(crate) fn begin(nonce: [u8; 16]) -> Self {
        Self { nonce: hex(&nonce) }
    }

    /// What the client must answer.
    pub(crate) fn challenge(&self) -> String {
        format!("realm=\"{REALM}\",nonce=\"{}\",qop=\"auth\",charset=utf-8,algorithm=md5-sess", self.nonce)
    }

    /// Judges the client's answer: who it is, and what proves that this server knows the password as well.
    pub(crate) fn judge(
        self,
        users: &BTreeMap<String, String>,
        response: &[u8],
    ) -> Result<(String, String), Refused> {
        let said = directives(response)?;
        let get = |name: &str| said.get(name).map(String::as_str);
        let (Some(user), Some(cnonce), Some(proof)) = (get("username"), get("cnonce"), get("response"))
        else {
            return Err(Refused);
        };
        let expected = [("nonce", self.nonce.as_str()), ("nc", "00000001"), ("digest-uri", DIGEST_URI)];
        let is_of_this_exchange = expected.iter().all(|(name, value)| get(name) == Some(value))
            && get("realm").is_none_or(|realm| realm == REALM)
            && get("qop").is_none_or(|qop| qop == "auth");
        // Nobody acts for another (SaslServerCallbackHandler.handleAuthorizeCallback).
        let authzid = get("authzid").filter(|authzid| !authzid.is_empty());
        if !is_of_this_exchange || authzid.is_some_and(|authzid| authzid != user) {
            return Err(Refused);
        }
        let password = users.get(user).ok_or(Refused)?;
        let secret = Secret::new(user, password, &self.nonce, cnonce, authzid);
        let wanted = secret.proof("AUTHENTICATE:", &self.nonce, cnonce);
        if !same(wanted.as_bytes(), proof.as_bytes()) {
            return Err(Refused);
        }
        Ok((user.to_owned(), format!("rspauth={}", secret.proof(":", &self.nonce, cnonce))))
    }
}

/// HEX(H(A1)) of RFC 2831.
struct Secret(String);

impl Secret {
    fn new(user: &str, password: &str, nonce: &str, cnonce: &str, authzid: Option<&str>) -> Self {
        let mut a1 = Md5::new();
        a1.update(Md5::digest(format!("{user}:{REALM}:{password}")));
        a1.update(format!(":{nonce}:{cnonce}"));
        if let Some(authzid) = authzid {
            a1.update(format!(":{authzid}"));
        }
        Self(hex(&a1.finalize()))
    }

    fn proof(&self, prefix: &str, nonce: &str, cnonce: &str) -> String {
        let a2 = hex(&Md5::digest(format!("{prefix}{DIGEST_URI}")));
        hex(&Md5::digest(format!("{}:{nonce}:00000001:{cnonce}:auth:{a2}", self.0)))
    }
}

/// Compares without telling by its duration where the two differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads `name=value,name="quoted \" value",…`.
fn directives(response: &[u8]) -> Result<BTreeMap<String, String>, Refused> {
    let text = std::str::from_utf8(response).map_err(|_| Refused)?;
    let mut found = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(Refused)?;
        let (value, after) = value(after)?;
        if found.len() >= DIRECTIVES_MAX || found.insert(name.trim().to_owned(), value).is_some() {
            return Err(Refused);
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => "",
            None => return Err(Refused),
        };
    }
    Ok(found)
}

fn value(text: &str) -> Result<(String, &str), Refused> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Ok((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next().ok_or(Refused)?.1),
            other => value.push(other),
        }
    }
    Err(Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> BTreeMap<String, String> {
        BTreeMap::from([("jaas user".to_owned(), "pass\"word".to_owned())])
    }

    fn response(nonce: &str, proof: &str, more: &str) -> String {
        format!(
            "qop=auth,realm=\"zk-sasl-md5\",username=\"jaas user\",nonce=\"{nonce}\",cnonce=\"abc\",nc=00000001,\
             digest-uri=\"zookeeper/zk-sasl-md5\",response={proof}{more}"
        )
    }

    fn proof(nonce: &str, authzid: Option<&str>) -> String {
        Secret::new("jaas user", "pass\"word", nonce, "abc", authzid).proof("AUTHENTICATE:", nonce, "abc")
    }

    #[test] // the example of RFC 2831, section 4, with its own realm and URI
    fn the_hashes_are_those_of_the_rfc() {
        let secret = {
            let mut a1 = Md5::new();
            a1.update(Md5::digest("chris:elwood.innosoft.com:secret"));
            a1.update(":OA6MG9tEQGm2hh:OA6MHXh6VqTrRk");
            hex(&a1.finalize())
        };
        let a2 = hex(&Md5::digest("AUTHENTICATE:imap/elwood.innosoft.com"));
        let proof = hex(&Md5::digest(format!("{secret}:OA6MG9tEQGm2hh:00000001:OA6MHXh6VqTrRk:auth:{a2}")));
        assert_eq!(proof, "d388dad90d4bbd760a152321f2143af7");
    }

    #[test]
    fn who_knows_the_password_is_let_in_and_sees_that_the_server_knows_it_too() {
        for authzid in [None, Some("jaas user")] {
            let exchange = Exchange::begin([7; 16]);
            let nonce = exchange.nonce.clone();
            assert!(exchange.challenge().contains(&format!("nonce=\"{nonce}\"")));
            let more = authzid.map_or(String::new(), |id| format!(",authzid=\"{id}\""));
            let said = response(&nonce, &proof(&nonce, authzid), &more);
            let (user, rspauth) = exchange.judge(&users(), said.as_bytes()).expect("the right password");
            let secret = Secret::new("jaas user", "pass\"word", &nonce, "abc", authzid);
            assert_eq!(user, "jaas user");
            assert_eq!(rspauth, format!("rspauth={}", secret.proof(":", &nonce, "abc")));
        }
    }

    #[test]
    fn everybody_else_is_refused() {
        let nonce = Exchange::begin([7; 16]).nonce;
        let good = response(&nonce, &proof(&nonce, None), "");
        let cases = [
            response(&nonce, &proof(&nonce, Some("x")), ""),
            response(&nonce, &proof(&nonce, Some("other")), ",authzid=other"),
            response("replayed", &proof("replayed", None), ""),
            good.replace("jaas user", "nobody"),
            good.replace("nc=00000001", "nc=00000002"),
            good.replace("zookeeper/zk", "imap/zk"),
            good.replace("qop=auth", "qop=auth-int"),
            format!("{good},nonce=\"{nonce}\""),
            good.replace("cnonce=\"abc\"", "cnonce=\"abc"),
            String::new(),
            "\\".to_owned(),
        ];
        for said in cases {
            assert_eq!(Exchange::begin([7; 16]).judge(&users(), said.as_bytes()), Err(Refused), "{said}");
        }
        assert_eq!(Exchange::begin([7; 16]).judge(&users(), &[0xFF]), Err(Refused));
    }
}

//! A JAAS file: the users of SASL DIGEST-MD5 (DigestLoginModule).
//!
//! Must not know: how they authenticate. Read first: [`users`].

use std::collections::BTreeMap;

/// What the section of a server says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Users and passwords of ZooKeeper's DigestLoginModule.
    pub(super) users: BTreeMap<String, String>,
    /// Other login modules, which are not served.
    pub(super) others: Vec<String>,
}

/// Reads a section of a JAAS file; `None` if there is no such section.
///
/// # Errors
/// The file is not in JAAS's form; the text says where.
pub(super) fn users(file: &str, text: &str, section: &str) -> Result<Option<Section>, String> {
    let mut tokens = Tokens::new(file, text);
    let mut found = None;
    while let Some(name) = tokens.next()? {
        tokens.expect("{")?;
        let entry = entries(&mut tokens)?;
        if name == section {
            found = Some(entry);
        }
        tokens.expect(";")?;
    }
    Ok(found)
}

/// `Module flag option=value …;` as often as they come, then `}`.
fn entries(tokens: &mut Tokens<'_>) -> Result<Section, String> {
    let mut section = Section::default();
    loop {
        let module = tokens.wanted("a login module or }")?;
        if module == "}" {
            return Ok(section);
        }
        let digest = module.ends_with("DigestLoginModule");
        if !digest {
            section.others.push(module);
        }
        let _flag = tokens.wanted("required, requisite, sufficient or optional")?;
        loop {
            let option = tokens.wanted("an option or ;")?;
            if option == ";" {
                break;
            }
            tokens.expect("=")?;
            let value = tokens.wanted("a value")?;
            if let Some(user) = option.strip_prefix("user_").filter(|_| digest) {
                section.users.insert(user.to_owned(), value);
            }
        }
    }
}

struct Tokens<'a> {
    file: &'a str,
    rest: &'a str,
    line: usize,
}

const PUNCTUATION: [char; 4] = ['{', '}', ';', '='];

impl<'a> Tokens<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, rest: text, line: 1 }
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        let found = self.wanted(wanted)?;
        if found == wanted { Ok(()) } else { Err(self.wrong(&format!("{found:?} where {wanted:?} must be"))) }
    }

    fn wanted(&mut self, what: &str) -> Result<String, String> {
        self.next()?.ok_or_else(|| self.wrong(&format!("it ends where {what} must be")))
    }

    fn wrong(&self, what: &str) -> String {
        format!("{}:{}: {what}", self.file, self.line)
    }

    fn skip(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.skip(blank);
            let end = match (self.rest.starts_with("//"), self.rest.starts_with("/*")) {
                (true, _) => self.rest.find('\n'),
                (_, true) => self.rest.find("*/").map(|at| at + 2),
                (false, false) => return,
            };
            self.skip(end.unwrap_or(self.rest.len()));
        }
    }

    fn next(&mut self) -> Result<Option<String>, String> {
        self.skip_space_and_comments();
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        if PUNCTUATION.contains(&first) {
            self.skip(1);
            return Ok(Some(first.to_string()));
        }
        if first == '"' {
            let end = self.rest[1..].find('"').ok_or_else(|| self.wrong("a quote is not closed"))?;
            let value = self.rest[1..=end].to_owned();
            self.skip(end + 2);
            return Ok(Some(value));
        }
        let ends = |c: char| c.is_whitespace() || PUNCTUATION.contains(&c);
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.skip(end);
        Ok(Some(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/* ours */\nClient {\n com.x.Other required debug=true;\n};\nServer {\n  // users\n  \
        org.apache.zookeeper.server.auth.DigestLoginModule required\n  user_super=\"super secret\"\n  user_joe=pass;\n  \
        com.sun.security.auth.module.Krb5LoginModule required\n  useKeyTab=true;\n};";

    #[test]
    fn the_users_of_a_section() {
        let section = users("jaas.conf", FILE, "Server").expect("good").expect("there");
        assert_eq!(section.users["super"], "super secret");
        assert_eq!(section.users["joe"], "pass");
        assert_eq!(section.others, ["com.sun.security.auth.module.Krb5LoginModule"]);
        assert_eq!(users("jaas.conf", FILE, "Missing"), Ok(None));
        assert_eq!(users("jaas.conf", " \n", "Server"), Ok(None));
    }

    #[test]
    fn a_malformed_file_says_where() {
        for (text, reason) in [
            ("Server", "jaas.conf:1: it ends where {"),
            ("Server {\n M required a b;};", "jaas.conf:2: \"b\" where \"=\""),
            ("Server {\n M required a=\"b;};", "jaas.conf:2: a quote"),
            ("Server {\n M required;\n}", "jaas.conf:3: it ends where ;"),
        ] {
            let error = users("jaas.conf", text, "Server").expect_err(text);
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }
}

//! A document of YAML as a tree that knows the line of every node, so that each error names the line of its own field.
//!
//! Must not know: what the fields mean. Read first: [`documents`], [`Tree`].

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use crate::finding::{Path, Segment};

/// A node and the line it is on, counted from 1 in its document.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The line of the node, or of its key.
    line: usize,
    node: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads a document.
    ///
    /// # Errors
    /// It is not YAML, or more than a document may be (depth, aliases, size).
    pub(super) fn parse(document: &str) -> Result<Self, serde_saphyr::Error> {
        serde_saphyr::from_str(document)
    }

    /// The line of the field at `path`, or of the nearest one above it that is there.
    pub(super) fn line_of(&self, path: &Path) -> usize {
        let mut at = self;
        for segment in &path.0 {
            let next = match (segment, &at.node) {
                (Segment::Field(name), Node::Map(fields)) => {
                    fields.iter().find(|(key, _)| key == name).map(|(_, tree)| tree)
                }
                (Segment::Index(index), Node::List(items)) => items.get(*index),
                _ => None,
            };
            match next {
                Some(tree) => at = tree,
                None => break,
            }
        }
        at.line
    }

    /// The tree without its lines.
    pub(super) fn to_json(&self) -> Value {
        match &self.node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Number(number) => Value::Number(number.clone()),
            Node::Text(text) => Value::String(text.clone()),
            Node::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Node::Map(fields) => {
                let fields = fields.iter().map(|(key, tree)| (key.clone(), tree.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        Ok(Self { line: line(spanned.referenced), node: spanned.value })
    }
}

fn line(location: serde_saphyr::Location) -> usize {
    usize::try_from(location.line()).unwrap_or(usize::MAX)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        // JSON has no word for what is not a number, and no field takes one.
        Ok(Number::from_f64(value).map_or_else(|| Node::Text(value.to_string()), Node::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = fields.next_key::<Spanned<String>>()? {
            let mut tree: Tree = fields.next_value()?;
            // A mistake in a field is looked for where its name is; a value may begin lines below.
            tree.line = line(key.referenced);
            map.push((key.value, tree));
        }
        Ok(Node::Map(map))
    }
}

/// The documents of a file that hold anything, each with the line of the file that it begins at.
pub(super) fn documents(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut start, mut first_line, mut at) = (Vec::new(), 0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // A document may go on behind its marker, so the marker stays with it.
        if line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        {
            found.push((first_line, &text[start..at]));
            (start, first_line) = (at, index + 1);
        }
        at += line.len();
    }
    found.push((first_line, &text[start..]));
    found.retain(|(_, document)| holds_anything(document));
    found
}

fn holds_anything(document: &str) -> bool {
    document.lines().any(|line| {
        let line = line.strip_prefix("---").unwrap_or(line).trim();
        !line.is_empty() && !line.starts_with('#') && line != "..."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_found_with_their_lines() {
        let text = "# head\na: 1\n---\n# nothing here\n--- # a comment\nb: 2\n---\n";
        assert_eq!(documents(text), [(1, "# head\na: 1\n"), (5, "--- # a comment\nb: 2\n")]);
        let text = "a: |\n  --- within\n---not a marker: 1\n";
        assert_eq!(documents(text), [(1, text)]);
    }

    #[test]
    fn every_field_knows_its_line() {
        let tree = Tree::parse("a:\n  b: 1\n  c.d:\n    - x\n    - {y: 2}\n").expect("YAML");
        let config = Path::fields("a").field("c.d");
        let lines = [
            tree.line_of(&Path::fields("a")),
            tree.line_of(&Path::fields("a.b")),
            tree.line_of(&config),
            tree.line_of(&config.index(1)),
            tree.line_of(&config.index(1).field("y")),
            tree.line_of(&Path::fields("a.gone.below")),
        ];
        assert_eq!(lines, [1, 2, 3, 5, 5, 1]);
        assert_eq!(tree.to_json(), serde_json::json!({"a": {"b": 1, "c.d": ["x", {"y": 2}]}}));
    }
}

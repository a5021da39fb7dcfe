//! What is wrong with a resource: which field, and what is allowed.
//!
//! Must not know: files and lines; the manifest adds them. Read first: [`Finding`].

use std::fmt;

/// A field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Finding {
    /// The field.
    pub path: Path,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Finding {
    /// A finding at `path`.
    pub fn new(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.clone(), message: message.into() }
    }
}

/// One step into a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A field.
    Field(String),
    /// An element of a list.
    Index(usize),
}

/// Where a field is: `spec.config["retention.ms"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Segment>);

impl Path {
    /// A path of plain field names: `spec.replicas`.
    pub fn fields(dotted: &str) -> Self {
        Self(dotted.split('.').filter(|f| !f.is_empty()).map(|f| Segment::Field(f.to_owned())).collect())
    }

    /// A path as the CEL rules report it: dots between fields, `[0]` for elements.
    pub(crate) fn of_rule(text: &str) -> Self {
        let mut segments = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (field, indices) = part.split_once('[').unwrap_or((part, ""));
            segments.push(Segment::Field(field.to_owned()));
            let numbers = indices.split(['[', ']']).filter_map(|index| index.parse().ok());
            segments.extend(numbers.map(Segment::Index));
        }
        Self(segments)
    }

    /// The field `name` below this one.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.with(Segment::Field(name.to_owned()))
    }

    /// The element `index` below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(at) => write!(f, "[{at}]")?,
                Segment::Field(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                    write!(f, "{}{name}", if index == 0 { "" } else { "." })?;
                }
                Segment::Field(name) => write!(f, "[{name:?}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_and_read() {
        let element = Path::fields("spec.config").field("retention.ms").index(1);
        assert_eq!(element.to_string(), "spec.config[\"retention.ms\"][1]");
        assert_eq!(Path::of_rule("spec.list[2].x"), Path::fields("spec.list").index(2).field("x"));
        assert_eq!(Path::of_rule(""), Path::default());
    }
}

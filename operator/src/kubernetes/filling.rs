//! Which namespaces are known: everything in them was listed once. A namespace that cannot be listed, because it is gone or a right is
//! missing, holds up nobody but itself.
//!
//! Must not know: what is listed. Read first: [`Filling`].

use std::collections::BTreeMap;

/// A namespace, or all of them.
type Scope = Option<String>;

/// The watches of one scope.
#[derive(Debug, Default)]
struct Watches {
    /// Those that have not listed what there is yet.
    empty: usize,
    /// One of them was told that it may not list.
    failed: bool,
}

/// What was listed so far.
#[derive(Debug, Default)]
pub struct Filling {
    scopes: BTreeMap<Scope, Watches>,
}

impl Filling {
    /// A watch of a namespace, or of all, begins.
    pub fn begins(&mut self, scope: &Scope) {
        self.scopes.entry(scope.clone()).or_default().empty += 1;
    }

    /// A watch has listed what there is, for the first time.
    pub fn filled(&mut self, scope: &Scope) {
        if let Some(watches) = self.scopes.get_mut(scope) {
            watches.empty = watches.empty.saturating_sub(1);
        }
    }

    /// A watch may not list. Returns true the first time that a scope is not known because of it: then it is worth a sentence.
    pub fn failed(&mut self, scope: &Scope) -> bool {
        let Some(watches) = self.scopes.get_mut(scope) else { return false };
        watches.empty > 0 && !std::mem::replace(&mut watches.failed, true)
    }

    /// Whether everything in the namespace was listed.
    pub fn is_known(&self, namespace: &str) -> bool {
        let scope = self.scopes.get(&None).or_else(|| self.scopes.get(&Some(namespace.to_owned())));
        scope.is_some_and(|watches| watches.empty == 0)
    }

    /// Whether work goes on: each namespace is known or cannot be listed, and one is known.
    pub fn is_ready(&self) -> bool {
        let decided = self.scopes.values().all(|watches| watches.empty == 0 || watches.failed);
        decided && self.scopes.values().any(|watches| watches.empty == 0)
    }

    /// The namespaces that are watched by name, and whether each is known.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, bool)> {
        self.scopes.iter().filter_map(|(scope, watches)| Some((scope.as_deref()?, watches.empty == 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scopes: &[Option<&str>]) -> Filling {
        let mut filling = Filling::default();
        for scope in scopes.iter().map(|scope| scope.map(str::to_owned)) {
            filling.begins(&scope);
            filling.begins(&scope);
        }
        filling
    }

    fn fill(filling: &mut Filling, scope: Option<&str>) {
        let scope = scope.map(str::to_owned);
        filling.filled(&scope);
        filling.filled(&scope);
    }

    /// A watched namespace that was deleted took its Role along; the operator that began anew then looked after nothing at all.
    #[test]
    fn a_namespace_that_cannot_be_listed_holds_up_nobody_else() {
        let mut filling = of(&[Some("a"), Some("b")]);
        let b = Some("b".to_owned());
        filling.filled(&b);
        assert!(filling.failed(&b), "it is said");
        assert!(!filling.failed(&b), "once");
        fill(&mut filling, Some("a"));
        assert!(filling.is_known("a") && !filling.is_known("b"));
        assert!(filling.is_ready());
        assert_eq!(filling.namespaces().collect::<Vec<_>>(), [("a", true), ("b", false)]);
        filling.filled(&b);
        assert!(filling.is_known("b"), "it was made again");
    }

    #[test]
    fn nothing_is_known_before_it_was_listed() {
        let mut filling = of(&[Some("a"), Some("b")]);
        fill(&mut filling, Some("a"));
        assert!(filling.is_known("a") && !filling.is_ready(), "b may be listed yet");
        let mut filling = of(&[Some("a")]);
        filling.failed(&Some("a".to_owned()));
        assert!(!filling.is_ready(), "no namespace can be listed");
        let mut filling = of(&[None]);
        assert!(!filling.is_known("a") && !filling.is_ready());
        fill(&mut filling, None);
        assert!(filling.is_known("a") && filling.is_ready());
        assert!(!filling.failed(&None), "a watch that is begun anew takes nothing away");
    }
}

//! Rules of paths (PathUtils.validatePath).

/// True for a path that a node may have. A sequential prefix may end in `/`: its counter follows.
pub fn is_valid(path: &str, sequential: bool) -> bool {
    if path == "/" {
        return true;
    }
    let Some(rest) = path.strip_prefix('/') else { return false };
    let segments: Vec<&str> = rest.split('/').collect();
    segments.iter().enumerate().all(|(i, segment)| {
        let last = i + 1 == segments.len();
        (!segment.is_empty() || (last && sequential)) && *segment != "." && *segment != ".."
    }) && rest.chars().all(is_allowed)
}

fn is_allowed(c: char) -> bool {
    !matches!(u32::from(c), 0..=0x1F | 0x7F..=0x9F | 0xD800..=0xF8FF | 0xFFF0..=0xFFFF)
}

/// The parent's path and the node's own name; `None` for the root.
pub fn parent(path: &str) -> Option<(&str, &str)> {
    let (parent, name) = path.rsplit_once('/')?;
    if name.is_empty() && path == "/" {
        return None;
    }
    Some((if parent.is_empty() { "/" } else { parent }, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_paths() {
        let good = ["/", "/a", "/a/b", "/a.b/..c", "/ä"];
        let bad =
            ["", "a", "/a/", "//a", "/a//b", "/./a", "/a/..", "/a\0", "/a\u{1}", "/\u{7f}", "/\u{f8ff}"];
        assert!(good.iter().all(|p| is_valid(p, false)));
        assert!(bad.iter().all(|p| !is_valid(p, false)), "{bad:?}");
        assert!(is_valid("/a/", true) && is_valid("/", true));
        assert_eq!((parent("/a/b"), parent("/a"), parent("/")), (Some(("/a", "b")), Some(("/", "a")), None));
    }
}

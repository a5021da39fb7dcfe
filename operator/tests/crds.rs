//! `crds/*.yaml` is what the types give: edit `operator/src/crd`, then write the files anew with
//! `UPDATE_CRDS=1 cargo test -p streamkeeper-operator --test crds`.

use std::path::{Path, PathBuf};

use streamkeeper_operator::crd;

fn directory() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../crds")
}

#[test]
fn the_files_are_what_the_types_give() {
    let update = std::env::var_os("UPDATE_CRDS").is_some();
    for definition in crd::definitions() {
        let path = directory().join(crd::file_name(&definition));
        let text = crd::to_yaml(&definition).expect("a definition is YAML");
        if update {
            std::fs::write(&path, &text).expect("crds/ can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{} differs from the types; run UPDATE_CRDS=1 cargo test -p streamkeeper-operator --test crds",
            path.display()
        );
    }
}

#[test]
fn no_file_is_left_of_a_kind_that_is_gone() {
    let expected: Vec<String> = crd::definitions().iter().map(crd::file_name).collect();
    for entry in std::fs::read_dir(directory()).expect("crds/ is there") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(expected.contains(&name), "crds/{name}: no type gives it");
    }
}

/// Client-side apply remembers the whole object in an annotation of at most 262,144 bytes.
#[test]
fn a_definition_fits_into_an_annotation() {
    for definition in crd::definitions() {
        let size = serde_json::to_vec(&definition).expect("JSON").len();
        assert!(size < 200 * 1024, "{}: {size} bytes", crd::file_name(&definition));
    }
}

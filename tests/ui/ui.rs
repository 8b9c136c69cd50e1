//! Compares the compiler's messages about wrong declarations and wrong uses with `cases/*.stderr`. The tests in
//! `tracker-derive/src/tests` check the derives' own messages alone; this test also checks those of rustc.
//!
//! `UPDATE_EXPECT=1 cargo test --test ui` updates the files; read the diff before you commit it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::expect_file;
use serde_json::Value;

// The wording changes with the version of rustc.
#[rustversion::attr(not(stable(1.95)), ignore = "the files hold the messages of Rust 1.95")]
#[test]
fn compiler_reports_each_mistake_with_the_expected_message() {
    let library = tracker_core();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases: Vec<_> =
        folder.join("cases").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.extension() == Some(OsStr::new("rs")));
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let messages = messages(folder, &case, &library);
        assert!(messages.contains("error"), "{} compiles, but should not", case.display());
        expect_file![case.with_extension("stderr")].assert_eq(&messages);
    }
}

/// Returns the compiled tracker-core. The test does not compile it again: `cargo test --workspace` already has, and this
/// command says where the library is. Only after a build with other features is there anything to compile.
fn tracker_core() -> PathBuf {
    let build = Command::new(env!("CARGO"))
        .args(["test", "--workspace", "--all-features", "--no-run", "--message-format=json"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(build.status.success(), "the workspace does not compile");
    let artifacts = build.stdout.split(|byte| *byte == b'\n').filter_map(|line| {
        let artifact: Value = serde_json::from_slice(line).ok()?;
        let is_library = artifact["target"]["name"] == "tracker_core" && artifact["profile"]["test"] == false;
        let files = is_library.then(|| artifact["filenames"].as_array().cloned())??;
        files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".rlib")).map(PathBuf::from)
    });
    let libraries: Vec<_> = artifacts.collect();
    assert_eq!(libraries.len(), 1, "{libraries:?}");
    libraries.into_iter().next().unwrap()
}

/// Compiles a program. Returns the messages.
fn messages(folder: &Path, case: &Path, library: &Path) -> String {
    let dependencies = library.parent().unwrap();
    let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .current_dir(folder)
        .args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "--color=never", "-o"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui.rmeta"))
        .arg("--extern")
        .arg(format!("tracker_core={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg(case.strip_prefix(folder).unwrap())
        .output()
        .unwrap();
    let compiled = String::from_utf8(compiled.stderr).unwrap();
    // A position in tracker-core changes with every edit there.
    let lines = compiled.lines().map(|line| match line.split_once(".rs:") {
        Some((file, _)) if file.contains("--> tracker-core/") => format!("{file}.rs\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

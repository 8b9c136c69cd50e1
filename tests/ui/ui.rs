//! Compares the compiler's messages about wrong declarations and wrong uses with `cases/*.stderr`. The tests in
//! `tracker-derive/src/tests` check the derives' own messages alone; this test also checks those of rustc.
//!
//! `UPDATE_EXPECT=1 cargo test --workspace --all-features --test ui` updates the files; read the diff before you commit
//! it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use expect_test::expect_file;
use serde_json::Value;

// The wording changes with the version of rustc.
#[rustversion::attr(not(stable(1.95)), ignore = "the files hold the messages of Rust 1.95")]
#[test]
fn compiler_reports_each_mistake_with_the_expected_message() {
    let library = tracker_core();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let files: Vec<_> =
        workspace.join("tests/ui/cases").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut cases = files.clone();
    cases.retain(|case| case.extension() == Some(OsStr::new("rs")));
    cases.sort();
    assert!(!cases.is_empty());
    let stale = files.iter().find(|file| !cases.contains(&file.with_extension("rs")));
    assert_eq!(stale, None, "a file of messages has no program");
    // All at once, because each takes seconds.
    let compiling = cases.iter().map(|case| compile(workspace, case, &library)).collect::<Vec<_>>();
    for (case, compiling) in cases.iter().zip(compiling) {
        let (compiles, messages) = messages(compiling);
        assert!(!compiles, "{} compiles, but should not", case.display());
        assert!(!messages.contains("can't find crate"), "{messages}");
        expect_file![case.with_extension("stderr")].assert_eq(&messages);
    }
}

/// Returns the compiled tracker-core. The test does not compile it again: `cargo test --workspace` already has, and this
/// command says where the library is. Only after a build with other features is there anything to compile.
fn tracker_core() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    // The build script of `ring` runs again, and much is compiled again, if one of these variables changes.
    let of_this_package =
        |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.starts_with(of));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_this_package)) {
        build.env_remove(name);
    }
    let build = build
        .args([
            "test",
            "--workspace",
            "--all-features",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(build.status.success(), "the workspace does not compile");
    let artifacts = build.stdout.split(|byte| *byte == b'\n').filter_map(|line| {
        let artifact: Value = serde_json::from_slice(line).ok()?;
        let is_library = artifact["target"]["name"] == "tracker_core" && artifact["profile"]["test"] == false;
        let files = is_library.then(|| artifact["filenames"].as_array().cloned())??;
        let mut files = files.iter().filter_map(Value::as_str).map(PathBuf::from);
        files.find(|file| file.extension() == Some(OsStr::new("rlib")))
    });
    let libraries: Vec<_> = artifacts.collect();
    assert_eq!(libraries.len(), 1, "{libraries:?}");
    libraries.into_iter().next().unwrap()
}

/// Begins to compile a program.
fn compile(workspace: &Path, case: &Path, library: &Path) -> Child {
    let dependencies = library.parent().unwrap();
    let name = case.file_stem().unwrap();
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .current_dir(workspace)
        .args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "--color=never", "-o"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("rmeta"))
        .arg("--extern")
        .arg(format!("tracker_core={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg(case.strip_prefix(workspace).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns whether the program compiles, and the messages of the compiler.
fn messages(compiling: Child) -> (bool, String) {
    let compiled = compiling.wait_with_output().unwrap();
    let text = String::from_utf8(compiled.stderr).unwrap();
    // Numbers of lines in tracker-core change with every edit there.
    let mut is_in_core = false;
    let lines = text.lines().map(|line| {
        // Every dependency of the workspace may add an implementation of a trait.
        if let Some((before, number)) = line.split_once("and ").filter(|(before, _)| before.trim().is_empty())
            && number.strip_suffix(" others").is_some_and(|number| number.parse::<u32>().is_ok())
        {
            return format!("{before}and others\n");
        }
        let gutter = line.len()
            - line.trim_start_matches(|letter: char| letter == ' ' || letter.is_ascii_digit()).len();
        let (number, code) = line.split_at(gutter);
        is_in_core =
            code.starts_with("--> tracker-core/") || is_in_core && (code.starts_with('|') || line == "...");
        match code.split_once(".rs:") {
            _ if !is_in_core => format!("{line}\n"),
            Some((file, _)) => format!("{number}{file}.rs\n"),
            None => format!("{}{code}\n", " ".repeat(number.len())),
        }
    });
    let messages = lines.collect();
    (compiled.status.success(), messages)
}

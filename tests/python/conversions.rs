//! Conversions by the command, read back by the official Python reader, and random ones compared with torch where torch
//! is there. `MODELSCAN_PYTHON` names the Python.

use fixtures::venv::{Missing, python, venv};
use fixtures::{Need, skip};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(program: impl AsRef<Path>, args: &[&str]) -> Result<Output, String> {
    let program = program.as_ref();
    let output =
        Command::new(program).args(args).output().map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(output);
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} {}: {}", program.display(), args.join(" "), printed.lines().last().unwrap_or_default()))
}

/// A Python with the official reader: the one that is named, or a fresh environment.
fn reader() -> Result<PathBuf, Missing> {
    let named = PathBuf::from(python());
    if run(&named, &["-c", "import safetensors"]).is_ok() {
        return Ok(named);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("safetensors-venv");
    Ok(venv(&folder, named, &["safetensors"])?.join("python"))
}

fn fresh(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What each file holds by its own library: rows without kind, of types that safetensors has.
fn expected() -> BTreeMap<String, Vec<[String; 4]>> {
    let text = std::fs::read_to_string(here().join("fixtures/clean/tensors.tsv")).unwrap();
    let mut files: BTreeMap<String, Vec<[String; 4]>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, name, dtype, shape, hash, ..] = columns[..] else { continue };
        let name = if name.is_empty() { loader::SINGLE_TENSOR_NAME } else { name };
        let name: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        files.entry(file.to_owned()).or_default().push([name, dtype.into(), shape.into(), hash.into()]);
    }
    files
}

#[test]
fn the_official_python_reader_finds_what_each_library_had_saved() {
    let reader = match reader() {
        Ok(reader) => reader,
        Err(missing) => return missing.skip(),
    };
    let folder = fresh("read-back");
    let clean = here().join("fixtures/clean");
    let mut converted: BTreeMap<String, String> = BTreeMap::new();
    let expected = expected();
    for (index, file) in expected.keys().enumerate() {
        if clean.join(file).is_dir() {
            continue;
        }
        let out = folder.join(format!("{index}.safetensors")).to_str().unwrap().to_owned();
        let args =
            ["convert", clean.join(file).to_str().unwrap(), "-o", &out, "--expand-tied", "--quiet"].map(str::to_owned);
        let status = Command::new(env!("CARGO_BIN_EXE_modelscan")).args(args).output().unwrap().status;
        if status.success() {
            converted.insert(out, file.clone());
        } else {
            assert!(!Path::new(&out).exists(), "{file}: something was left behind");
        }
    }
    assert!(converted.len() > 150, "{} files were converted", converted.len());
    let script = here().join("tests/python/read_back.py");
    let args: Vec<&str> = [script.to_str().unwrap()].into_iter().chain(converted.keys().map(String::as_str)).collect();
    let printed = run(&reader, &args).unwrap();
    let mut found: BTreeMap<&str, Vec<[String; 4]>> = BTreeMap::new();
    let printed = String::from_utf8(printed.stdout).unwrap();
    for line in printed.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [path, name, dtype, shape, hash] = columns[..] else { unreachable!("{line}") };
        let name: String = serde_json::from_str(name).unwrap();
        found.entry(path).or_default().push([name, dtype.into(), shape.into(), hash.into()]);
    }
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (path, file) in &converted {
        let mut rows = found.remove(path.as_str()).unwrap_or_default();
        let mut wanted = expected[file].clone();
        rows.sort();
        wanted.sort();
        compared += rows.len();
        // The negative of a signalling NaN: see `exact` in loader/tests/conversions.rs.
        let quiet = |rows: &mut Vec<[String; 4]>| rows.retain(|row| !(file.contains("negated") && row[0] == "half"));
        quiet(&mut rows);
        quiet(&mut wanted);
        if rows != wanted {
            wrong.push(format!("{file}\n  found    {rows:?}\n  expected {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} files differ:\n{}", wrong.len(), converted.len(), wrong.join("\n"));
    assert!(compared > 1000, "{compared} tensors were compared");
}

#[test]
fn random_checkpoints_are_what_torch_loads() {
    let folder = fresh("live");
    let script = here().join("tests/python/convert_live.py");
    let args = [script.to_str().unwrap(), env!("CARGO_BIN_EXE_modelscan"), folder.to_str().unwrap(), "--count", "60"];
    match Command::new(python()).args(args).output() {
        Err(error) => skip(Need::Python, format!("{}: {error}", python().display())),
        Ok(output) => {
            let printed = String::from_utf8_lossy(&output.stdout);
            if let Some(why) = printed.lines().find_map(|line| line.strip_prefix("skipped: ")) {
                skip(Need::Torch, why);
            }
            assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

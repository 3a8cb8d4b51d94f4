//! Tensors of candle: a model computes the same as in torch.
#![cfg(feature = "candle")]
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use candle_core::{DType, Device};
use loader::LoadOptions;
use std::path::{Path, PathBuf};

#[path = "../examples/run_model.rs"]
mod run_model;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/clean/torch/torch215").join(name)
}

#[test]
fn a_model_computes_the_same_as_in_torch() {
    let found = run_model::run(&file("state-dict.pt"), &[1.0, 2.0, 3.0, 4.0]).unwrap();
    // torch 2.15 computes this from the same file.
    let expected = [0.595_684_6_f32, -0.705_602_8];
    assert_eq!(found.len(), 2);
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} and not {expected}");
    }
}

#[test]
fn tied_tensors_have_both_names_and_views_are_gathered() {
    let tied = loader::candle::load(&file("tied.pt"), &LoadOptions::default(), &Device::Cpu).unwrap();
    let rows = |name: &str| tied[name].to_vec2::<f32>().unwrap();
    assert_eq!(rows("a"), rows("b"));
    assert_eq!(tied["scalar"].to_scalar::<f32>().unwrap(), 3.5);
    assert_eq!(tied["empty"].dims(), [0, 4]);
    let views = loader::candle::load(&file("views.pt"), &LoadOptions::default(), &Device::Cpu).unwrap();
    assert_eq!(views["transposed"].to_vec2::<f32>().unwrap()[1], [1.0, 5.0, 9.0]);
}

#[test]
fn types_that_candle_does_not_have_are_an_error_with_the_name() {
    let error = loader::candle::load(&file("uint64.pt"), &LoadOptions::default(), &Device::Cpu).unwrap_err();
    assert_eq!(error.to_string(), "t: candle has no U64");
    let eight = loader::candle::load(&file("float8_e4m3fn.pt"), &LoadOptions::default(), &Device::Cpu).unwrap();
    assert_eq!(eight["t"].dtype(), DType::F8E4M3);
    assert_eq!(eight["t"].to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap(), [1.0; 4]);
}

//! Runs a small model from a checkpoint of torch without unpickling it: a linear layer, a batch norm, a ReLU and another
//! linear layer.
//!
//!     cargo run -p modelscan-loader --features candle --example run_model -- fixtures/clean/torch/torch215/state-dict.pt

use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

/// Tensors by name.
pub type Weights = HashMap<String, Tensor>;

/// Loads the model and applies it to one row of four numbers.
#[allow(dead_code, reason = "the server loads once and predicts often")]
pub fn run(path: &Path, row: &[f32; 4]) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    // This call replaces `torch.load`. It loads cleared files only.
    let weights = loader::candle::load(path, &loader::LoadOptions::default(), &Device::Cpu)?;
    predict(&weights, row)
}

/// Applies the model with these weights to one row.
pub fn predict(weights: &Weights, row: &[f32; 4]) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let input = Tensor::from_slice(row, (1, 4), &Device::Cpu)?;
    let hidden = norm(weights, "norm", &linear(weights, "embed", &input)?)?.relu()?;
    Ok(linear(weights, "head", &hidden)?.flatten_all()?.to_vec1()?)
}

fn get<'a>(weights: &'a Weights, name: &str, part: &str) -> Result<&'a Tensor, String> {
    weights.get(&format!("{name}.{part}")).ok_or_else(|| format!("the checkpoint has no {name}.{part}"))
}

fn linear(weights: &Weights, name: &str, input: &Tensor) -> Result<Tensor, Box<dyn std::error::Error>> {
    let product = input.matmul(&get(weights, name, "weight")?.t()?)?;
    Ok(product.broadcast_add(get(weights, name, "bias")?)?)
}

fn norm(weights: &Weights, name: &str, input: &Tensor) -> Result<Tensor, Box<dyn std::error::Error>> {
    let part = |part| get(weights, name, part);
    let centred = input.broadcast_sub(part("running_mean")?)?;
    let scaled = centred.broadcast_div(&(part("running_var")? + 1e-5)?.sqrt()?)?;
    Ok(scaled.broadcast_mul(part("weight")?)?.broadcast_add(part("bias")?)?)
}

#[allow(dead_code, reason = "the test of this example has no use for it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: run_model CHECKPOINT")?;
    println!("{:?}", run(Path::new(&path), &[1.0, 2.0, 3.0, 4.0])?);
    Ok(())
}

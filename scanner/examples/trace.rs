use scanner::{
    artifact::Watch,
    limits::Limits,
    pickle,
    source::{FileSource, SharedSource},
};
use std::sync::Arc;
fn main() {
    let path = std::env::args().nth(1).expect("path");
    let source: SharedSource =
        Arc::new(FileSource::new(std::fs::File::open(path).expect("open"), Arc::default()).expect("len"));
    let watch = Watch::start(Arc::new(Limits::default()));
    let options = pickle::Options { inline: None, reading: pickle::Reading::Transparent };
    let t = std::time::Instant::now();
    let trace = pickle::read(&source, 0, &options, &watch, &mut |_, _| true);
    println!(
        "{:?} ops {} end {:?} events {} callables {:?} {:?} lits {}",
        t.elapsed(),
        trace.opcodes,
        trace.end,
        trace.events.len(),
        &trace.callables[..trace.callables.len().min(8)],
        trace.oddities,
        trace.literals.len()
    );
}

//! temp
use crate::finding::Severity;
/// m
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta { #[allow(missing_docs)] pub id: &'static str, #[allow(missing_docs)] pub severity: Severity, #[allow(missing_docs)] pub summary: &'static str, #[allow(missing_docs)] pub why: &'static str, #[allow(missing_docs)] pub example: &'static str, #[allow(missing_docs)] pub help: &'static str }
/// m
pub fn rules() -> &'static [Meta] { &[] }

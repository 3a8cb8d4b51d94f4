//! A scan report as a CycloneDX 1.6 bill of materials: each file is a component with its hash, each finding a vulnerability of it.
//!
//! It has no time and no random serial number: the same files give the same bytes.

use crate::escape;
use scanner::report::{ArtifactReport, Report};
use scanner::{Finding, Severity};
use serde_json::{Map, Value, json};
use std::io::{self, Write};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let tool = json!({"type": "application", "name": report.tool.name, "version": report.tool.version});
    let mut bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [tool]},
            "properties": [property("modelscan:verdict", report.verdict.as_str())],
        },
        "components": report.artifacts.iter().enumerate().map(component).collect::<Vec<_>>(),
        "vulnerabilities": vulnerabilities(report),
    });
    let incomplete = |(_, artifact): &(usize, &ArtifactReport)| artifact.is_incomplete();
    let unread: Vec<_> = report.artifacts.iter().enumerate().filter(incomplete).map(|(at, _)| reference(at)).collect();
    if (!unread.is_empty() || !report.errors.is_empty())
        && let Some(bom) = bom.as_object_mut()
    {
        let mut composition = json!({"aggregate": "incomplete"});
        if let (false, Some(composition)) = (unread.is_empty(), composition.as_object_mut()) {
            composition.insert("assemblies".to_owned(), json!(unread));
        }
        bom.insert("compositions".to_owned(), json!([composition]));
    }
    writeln!(out, "{}", escape::json(&serde_json::to_string_pretty(&bom)?))
}

fn reference(index: usize) -> String {
    format!("artifact-{}", index + 1)
}

fn property(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

fn component((index, artifact): (usize, &ArtifactReport)) -> Value {
    // A pointer is not a model, and its hash is not that of the model.
    let model = artifact.format_info().is_some_and(|info| !info.is_pointer);
    let mut entry = Map::new();
    entry.insert("type".to_owned(), json!(if model { "machine-learning-model" } else { "file" }));
    entry.insert("bom-ref".to_owned(), json!(reference(index)));
    entry.insert("name".to_owned(), json!(artifact.path));
    if let Some(hash) = artifact.sha256.as_ref().filter(|_| !artifact.is_pointer()) {
        entry.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": hash}]));
    }
    if model {
        entry.insert("modelCard".to_owned(), json!({"properties": [property("modelscan:format", artifact.format)]}));
    }
    let mut properties = vec![
        property("modelscan:verdict", artifact.verdict.as_str()),
        property("modelscan:format", artifact.format),
        property("modelscan:size", &artifact.size.to_string()),
    ];
    if let Some(lfs) = &artifact.lfs {
        properties.push(property("modelscan:lfs-oid", &lfs.oid));
        properties.push(property("modelscan:lfs-integrity", lfs.integrity.as_str()));
    }
    for part in artifact.not_read.iter().filter(|_| artifact.is_incomplete()) {
        let prefix = part.member.as_ref().map(|member| format!("{member}: ")).unwrap_or_default();
        properties.push(property("modelscan:not-read", &format!("{prefix}{}", part.reason)));
    }
    entry.insert("properties".to_owned(), json!(properties));
    Value::Object(entry)
}

fn vulnerabilities(report: &Report) -> Vec<Value> {
    let each = report.artifacts.iter().enumerate();
    each.flat_map(|(index, artifact)| artifact.findings.iter().map(move |finding| vulnerability(index, finding)))
        .collect()
}

fn vulnerability(index: usize, finding: &Finding) -> Value {
    let severity = match finding.severity {
        Severity::Info => "info",
        other => other.as_str(),
    };
    let mut properties = vec![property("modelscan:fingerprint", &finding.fingerprint)];
    for (name, value) in [("member", &finding.member), ("callable", &finding.callable), ("evidence", &finding.evidence)]
    {
        if let Some(value) = value {
            properties.push(property(&format!("modelscan:{name}"), value));
        }
    }
    if let Some(offset) = finding.offset {
        properties.push(property("modelscan:offset", &offset.to_string()));
    }
    let mut entry = Map::new();
    entry.insert("id".to_owned(), json!(finding.rule));
    entry.insert("source".to_owned(), json!({"name": "modelscan"}));
    entry.insert(
        "ratings".to_owned(),
        json!([{"source": {"name": "modelscan"}, "severity": severity, "method": "other"}]),
    );
    entry.insert("description".to_owned(), json!(finding.message));
    if let Some(help) = &finding.help {
        entry.insert("recommendation".to_owned(), json!(help));
    }
    if let Some(reason) = &finding.suppressed {
        entry.insert("analysis".to_owned(), json!({"response": ["will_not_fix"], "detail": reason}));
    }
    entry.insert("affects".to_owned(), json!([{"ref": reference(index)}]));
    entry.insert("properties".to_owned(), json!(properties));
    Value::Object(entry)
}

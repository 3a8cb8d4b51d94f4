//! A profile in words: what it permits, and why.

use std::fmt::Write as _;

use super::permission::Permission;
use super::profile::Profile;

/// Describes what a profile permits, and lists the permissions that it does not grant.
pub fn explain(profile: &Profile) -> String {
    let mut out = format!("{}: {}\n\nCan be read inside, never written:\n", profile.name, profile.about);
    for row in &profile.read {
        let dest = row
            .dest
            .as_ref()
            .filter(|dest| **dest != row.path)
            .map(|dest| format!(", inside as {}", dest.display()))
            .unwrap_or_default();
        line(&mut out, &format!("{}{dest}", row.path.display()), &row.why);
    }
    out.push_str(
        "\nCan be written: /tmp (memory, gone at the end), and /out where --out asks for it.\n\nThe environment:\n",
    );
    for row in &profile.env {
        line(
            &mut out,
            &row.value.as_ref().map_or_else(|| row.name.clone(), |value| format!("{}={value}", row.name)),
            &row.why,
        );
    }
    out.push_str("\nPermissions:\n");
    for row in &profile.allow {
        line(&mut out, &format!("{}: {}", row.name, row.name.meaning()), &row.why);
    }
    if profile.allow.is_empty() {
        out.push_str("  nothing\n");
    }
    out.push_str("\nNetwork: ");
    if profile.network.is_empty() {
        out.push_str("none\n");
    } else {
        out.push_str("these names only, through a proxy:\n");
        profile.network.iter().for_each(|row| line(&mut out, &row.host, &row.why));
    }
    let l = &profile.limits;
    let _ = writeln!(
        out,
        "\nLimits of everything inside together:\n  memory {}, {} processors, {} processes and threads, /tmp {} and {} files\n  {} of time, {} of output, {} in at most {} files of /out, {} open files",
        l.memory, l.cpus, l.pids, l.scratch, l.inodes, l.timeout, l.output, l.out, l.out_files, l.open_files
    );
    if !profile.results.is_empty() {
        let _ = writeln!(out, "\nOnly these leave /out: {}", profile.results.join(", "));
    }
    if profile.gpu {
        out.push_str("\nWith --gpu: that GPU's nodes and their ioctls.\n");
    }
    out.push_str("\nNot permitted (grant one by one with --allow):\n");
    for permission in Permission::all().filter(|permission| !profile.allows(*permission)) {
        let _ = writeln!(out, "  {permission}: {}", permission.meaning());
    }
    out
}

fn line(out: &mut String, what: &str, why: &str) {
    let _ = writeln!(out, "  {what}\n      because: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_of_every_profile_is_explained_with_its_reason() -> Result<(), crate::Error> {
        for name in Profile::names() {
            let profile = Profile::load(name)?;
            let text = explain(&profile);
            for row in &profile.allow {
                assert!(text.contains(row.name.name()) && text.contains(&row.why), "{name} {}", row.name);
            }
            assert!(profile.read.iter().all(|row| text.contains(&row.why)));
        }
        Ok(())
    }
}

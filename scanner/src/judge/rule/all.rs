//! The list of all rules, sorted by id. `modelscan rule`, the help under each finding and `docs/rules.md` come from it.

use super::RuleInfo;

/// All rules, sorted by id.
pub fn rules() -> &'static [RuleInfo] {
    RULES
}

const RULES: &[RuleInfo] = &[
    super::archive_mismatch::INFO,
    super::computed_callable::INFO,
    super::decompression_bomb::INFO,
    super::embedded_code::INFO,
    super::embedded_program::INFO,
    super::executable_content::INFO,
    super::external_reference::INFO,
    super::format_mismatch::INFO,
    super::implicit_call::INFO,
    super::malformed_pickle::INFO,
    super::not_fully_read::INFO,
    super::object_array::INFO,
    super::path_escape::INFO,
    super::polyglot::INFO,
    super::reader_disagreement::INFO,
    super::special_file::INFO,
    super::structure_violation::INFO,
    super::trailing_data::INFO,
    super::unexpected_arguments::INFO,
    super::unknown_callable::INFO,
    super::unsafe_callable::INFO,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Words joined by single hyphens.
    fn is_kebab_case(id: &str) -> bool {
        id.split('-').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
    }

    #[test]
    fn pages_are_sorted_by_ids_that_are_kebab_case_and_unique() {
        assert!(rules().is_sorted_by(|rule, next| rule.id < next.id));
        for page in rules() {
            assert!(is_kebab_case(page.id), "{}", page.id);
        }
    }

    #[test]
    fn no_text_is_empty_and_each_fits_where_it_is_shown() {
        for RuleInfo { id, summary, why, example, help, .. } in rules() {
            for text in [summary, why, example, help] {
                assert!(!text.is_empty() && text.trim() == *text && !text.contains("```"), "{id}: {text:?}");
            }
            assert!(!summary.contains('\n') && summary.len() <= 70, "{id}: {summary}");
            // The report cuts a note at 400 characters and shows line breaks as escapes.
            assert!(!help.contains('\n') && help.len() <= 400 && !help.ends_with('.'), "{id}: {help}");
            assert!(why.lines().chain(example.lines()).all(|line| line.len() <= 110), "{id}");
        }
    }
}

//! The page of one query: its form, the command line, and the place of its result.

use maud::{Markup, PreEscaped, html};

use super::index::{chosen, search_form};
use super::links::text;
use super::request::{
    Call, FIELDS, Format, Invalid, LIMIT, LIMIT_MAX, SEARCH, Values, command_line, same_address,
};
use super::search::readings;
use crate::http::page::{Section, layout};
use crate::sink::{Parameter, Query};

/// A comment between the two halves of a page with a result. Text of a request is escaped, so that it cannot
/// contain it.
const MIDDLE: &str = "<!--result-->";

/// The contents of a page after its form.
pub(super) enum Contents<'a> {
    /// The form alone.
    Form,
    /// The values are invalid.
    Invalid(&'a Invalid),
    /// The query cannot be run, for this reason.
    Failed(&'a str),
    /// A result will follow.
    Result(&'a Call),
}

/// The two halves of the page: the result is sent between them.
pub(super) fn page(query: &'static Query, values: &Values, contents: &Contents<'_>) -> (String, String) {
    let invalid = if let Contents::Invalid(invalid) = contents { Some(*invalid) } else { None };
    let body = html! {
        p { (sentence(query.about)) ". " a href="/lookup" { "All queries" } }
        @if let Some(given) = values.get(SEARCH) {
            (search_form(given))
            (chosen(given, &readings(given), query.name))
        }
        (form(query, values, invalid))
        @match contents {
            Contents::Form => @if !query.examples.is_empty() { (examples(query)) },
            Contents::Invalid(invalid) => (usage(query, invalid)),
            Contents::Failed(reason) => div.notice.bad role="alert" { p { (text(reason)) } },
            Contents::Result(call) => (links(query, values, call.limit)),
        }
        (PreEscaped(MIDDLE))
    };
    let page = layout(query.name, Section::Lookup, body);
    match page.split_once(MIDDLE) {
        Some((before, after)) => (before.to_owned(), after.to_owned()),
        None => (page, String::new()),
    }
}

/// A phrase with a capital letter.
fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// A text in which backticks enclose code.
fn with_code(words: &str) -> Markup {
    html! {
        @for (number, part) in words.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The command line and the addresses of files with the same result.
fn links(query: &Query, values: &Values, limit: u32) -> Markup {
    html! {
        p.quiet {
            code { (text(&command_line(query, values, limit))) } " "
            a href=(same_address(query, ".json", values, Some(limit))) { "JSON" } " "
            a href=(same_address(query, ".csv", values, Some(limit))) { "CSV" }
        }
    }
}

fn examples(query: &Query) -> Markup {
    html! {
        h2 { "On the command line" }
        ul {
            @for example in query.examples {
                li { code { "holdfast query " (query.name) " " (example) } }
            }
        }
    }
}

/// The rest of the error of the command line; its first line is beside the field, if it is that of one.
fn usage(query: &Query, invalid: &Invalid) -> Markup {
    html! {
        div.notice.bad role="alert" {
            @if let Some(field) = invalid.field {
                p { "The query was not run: see the field " code { (field) } "." }
            } @else {
                p { (text(&invalid.reason)) }
            }
            p { "Usage: " code { "holdfast query " (query.usage()) } }
        }
    }
}

fn form(query: &Query, values: &Values, invalid: Option<&Invalid>) -> Markup {
    let reason = |name: &str| invalid.filter(|it| it.field == Some(name)).map(|it| it.reason.as_str());
    let accepted_limit = format!("an integer from 1 to {LIMIT_MAX}");
    html! {
        form.lookup action={ "/lookup/" (query.name) } method="get" {
            @for parameter in query.parameters {
                (field(parameter, values.get(parameter.name), reason(parameter.name)))
            }
            (text_field(FIELDS, values.get(FIELDS), false, reason(FIELDS), &help(
                "names of columns separated by commas, in the order of the table", Some("all columns"))))
            (text_field(LIMIT, values.get(LIMIT), false, reason(LIMIT), &help(&accepted_limit, Some("100"))))
            button type="submit" { "Run" }
        }
    }
}

/// Accepted values and default.
fn help(accepted: &str, default: Option<&str>) -> String {
    match default {
        Some(default) => format!("{accepted} [default: {default}]"),
        None => accepted.to_owned(),
    }
}

fn field(parameter: &Parameter, given: Option<&str>, reason: Option<&str>) -> Markup {
    let name = parameter.name;
    let help = help(&parameter.kind.accepted(), parameter.default);
    let Some(words) = parameter.kind.words() else {
        return text_field(name, given, parameter.is_required(), reason, &help);
    };
    html! {
        label {
            span { (name) }
            select name=(name) aria-invalid=[reason.map(|_| "true")] aria-describedby={ "about-" (name) } {
                @if let Some(default) = parameter.default { option value="" { (default) } }
                @for word in words { option value=(word) selected[given == Some(word)] { (word) } }
                // Another spelling of a word, or an invalid value, stays as it was given.
                @if let Some(other) = given.filter(|given| !words.contains(given)) {
                    option value=(other) selected { (text(other)) }
                }
            }
            (about(name, reason, &help))
        }
    }
}

fn text_field(
    name: &str,
    given: Option<&str>,
    is_required: bool,
    reason: Option<&str>,
    help: &str,
) -> Markup {
    html! {
        label {
            span { (name) @if is_required { " (required)" } }
            input name=(name) value=[given] required[is_required] autocomplete="off" spellcheck="false"
                aria-invalid=[reason.map(|_| "true")] aria-describedby={ "about-" (name) };
            (about(name, reason, help))
        }
    }
}

/// The accepted values below a field, or the error.
fn about(name: &str, reason: Option<&str>, help: &str) -> Markup {
    html! {
        small id={ "about-" (name) } class=[reason.map(|_| "bad")] {
            @match reason { Some(reason) => (text(reason)), None => (with_code(help)) }
        }
    }
}

/// Runs the query only if its address has values: a link to a form does not start a long query.
pub(super) fn is_run(format: Format, values: Option<&str>) -> bool {
    format != Format::Page || values.is_some_and(|values| !values.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::QUERIES;

    #[test]
    fn each_query_has_a_form_with_its_parameters() {
        for query in QUERIES {
            let (page, end) = page(query, &Values::default(), &Contents::Form);
            for parameter in query.parameters {
                let name = parameter.name;
                assert!(page.contains(&format!(" name=\"{name}\"")), "{} {name}", query.name);
                for part in parameter.kind.accepted().split('`') {
                    assert!(page.contains(&text(part).into_string()), "{} {name}", query.name);
                }
                let words = parameter.kind.words().unwrap_or_default();
                assert!(words.iter().all(|word| page.contains(&format!("<option value=\"{word}\""))));
            }
            assert!(page.contains(&format!("action=\"/lookup/{}\"", query.name)), "{page}");
            assert!(end.ends_with("</html>"), "{end}");
        }
    }

    #[test]
    fn phrases_become_sentences_and_backticks_code() {
        assert_eq!(sentence("routes of a peer"), "Routes of a peer");
        assert_eq!(sentence(""), "");
        let help = with_code("an id of `holdfast query peers`, or <all>").into_string();
        assert_eq!(help, "an id of <code>holdfast query peers</code>, or &lt;all&gt;");
    }

    #[test]
    fn an_error_is_beside_its_field_and_hostile_values_are_escaped() {
        let query = Query::find("prefix_lookup").unwrap();
        let values = Values::parse("match=%3Cscript%3E%3C!--result--%3E&prefix=\"x'").unwrap();
        let Err(invalid) = Call::bind(query, Format::Page, &values) else { panic!("it is bound") };
        let (page, end) = page(query, &values, &Contents::Invalid(&invalid));
        assert!(!page.contains("<script>") && !page.contains("\"x'"), "{page}");
        assert!(page.contains("&lt;script&gt;&lt;!--result--&gt;"), "{page}");
        let beside = "<small id=\"about-match\" class=\"bad\">invalid match ";
        assert!(page.contains(beside) && page.contains("aria-invalid=\"true\""), "{page}");
        assert!(end.starts_with("</main>"), "{end}");
    }
}

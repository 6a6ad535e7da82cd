//! The manual pages holdfast.env(5) and holdfast-queries(7), written from the tables of settings and queries,
//! and the ends of the help texts.

pub(super) mod help;

use crate::config::{self, SECTIONS};
use crate::manual::Page;
use crate::sink::QUERIES;

/// All pages that describe no command.
pub(super) fn pages() -> [Page; 2] {
    [settings(), queries()]
}

fn settings() -> Page {
    let mut page = Page::new("holdfast.env", '5', "settings of the BMP collector Holdfast");
    page.heading("DESCRIPTION");
    page.text(
        "The file /etc/holdfast/holdfast.env of the packaged service, or any other file that is named with \
         --env-file, has one setting per line, as NAME=value. Lines that begin with # are comments.",
    );
    page.text(config::INTRODUCTION);
    page.heading("SETTINGS");
    for section in SECTIONS {
        page.subheading(section.title);
        if !section.note.is_empty() {
            page.text(section.note);
        }
        for setting in section.settings {
            page.entry(setting.name, &setting.paragraphs());
        }
    }
    page.heading("FILES");
    page.entry("/etc/holdfast/holdfast.env", &["Settings of the packaged service.".to_owned()]);
    page.entry(
        "/etc/credstore/holdfast.db_password",
        &["Database password of the packaged service, if DB_PASSWORD and DB_PASSWORD_FILE are not set."
            .to_owned()],
    );
    page.heading("EXIT STATUS");
    page.text(
        "A command whose settings are invalid prints each problem with its line and exits with 78. \
         `holdfast check-config` checks a file without any other effect.",
    );
    page.heading("EXAMPLES");
    page.lines([
        "BMP_LISTEN_PORT=11019",
        "BMP_ALLOW=192.0.2.0/24",
        "DATABASE_URL=postgres://holdfast@db.example.net/holdfast?sslmode=verify-full",
        "STATE_DIR=/var/lib/holdfast",
    ]);
    page.heading("SEE ALSO");
    page.text("holdfast(1), walctl(1)");
    page
}

fn queries() -> Page {
    let mut page = Page::new("holdfast-queries", '7', "queries of the BMP collector Holdfast");
    page.heading("DESCRIPTION");
    page.text(
        "Each query is a function of the database, SELECT * FROM name(...), and a query of the command \
         holdfast query. Parameters are given in order or as name=value; those in brackets have defaults. \
         Queries never write.",
    );
    page.heading("QUERIES");
    for query in QUERIES {
        page.subheading(query.name);
        page.lines(query.help().lines());
    }
    page.heading("EXIT STATUS");
    for (code, meaning) in [
        ("0", "success"),
        ("1", "the database failed"),
        ("2", "unknown query, invalid argument, or no such peer"),
        ("78", "invalid configuration"),
    ] {
        page.entry(code, &[meaning.to_owned()]);
    }
    page.heading("SEE ALSO");
    page.text("holdfast-query(1), holdfast.env(5)");
    page
}

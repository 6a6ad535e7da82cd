//! The files of the pages: style, script, icon and the plot library, embedded in the program.
//!
//! Their path contains a checksum of all of them, so that a browser may keep them until another version of
//! the program serves others.

use std::sync::LazyLock;

/// One embedded file.
pub(super) struct Asset {
    name: &'static str,
    /// Value of the header `Content-Type`.
    pub(super) content_type: &'static str,
    /// Contents of the file.
    pub(super) bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: [Asset; 5] = [
    Asset { name: "style.css", content_type: CSS, bytes: include_bytes!("assets/style.css") },
    Asset { name: "page.js", content_type: SCRIPT, bytes: include_bytes!("assets/page.js") },
    Asset { name: "icon.svg", content_type: "image/svg+xml", bytes: include_bytes!("assets/icon.svg") },
    Asset { name: "uplot.js", content_type: SCRIPT, bytes: include_bytes!("assets/uplot/uPlot.iife.min.js") },
    Asset { name: "uplot.css", content_type: CSS, bytes: include_bytes!("assets/uplot/uPlot.min.css") },
];

/// The folder of the files: `/assets/` and the checksum of all files.
static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut checksum = crc32fast::Hasher::new();
    ASSETS.iter().for_each(|asset| checksum.update(asset.bytes));
    format!("/assets/{:08x}/", checksum.finalize())
});

/// The path of an embedded file.
pub(super) fn path(name: &str) -> String {
    format!("{}{name}", *FOLDER)
}

/// The file at a path; `None` if there is none.
pub(super) fn at(path: &str) -> Option<&'static Asset> {
    let name = path.strip_prefix(FOLDER.as_str())?;
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_path_with_a_checksum() {
        for Asset { name, bytes, .. } in &ASSETS {
            assert_eq!(at(&path(name)).unwrap().bytes, *bytes);
        }
        let other = path("style.css").replace("/assets/", "/assets/0");
        for unknown in ["/assets/style.css", other.as_str(), "/assets/", &path(""), &path("../page.js")] {
            assert!(at(unknown).is_none(), "{unknown}");
        }
    }
}

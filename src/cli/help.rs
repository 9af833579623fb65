//! The text of `--help`, out of the table of options.

use super::arguments::Opt;

/// The text: what the program is, `usage`, a line for each option, and what stands
/// `behind` them.
pub fn help(about: &str, usage: &str, options: &[Opt], behind: &str) -> String {
    let names = options.iter().map(names).collect::<Vec<_>>();
    let width = names.iter().map(String::len).max().unwrap_or_default();
    let mut text = format!("{about}\n\nUsage: {usage} [OPTIONS]\n\nOptions:\n");
    for (names, option) in names.iter().zip(options) {
        text += &format!("{names:width$}  {}\n", option.help);
    }
    text + "\n" + behind + "\n"
}

fn names(option: &Opt) -> String {
    let letter = option.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    format!("  {letter}--{}{}", option.long, option.shown_value())
}

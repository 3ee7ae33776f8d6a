//! What an agent says of a directory, in the words of whoever typed `postern up`.
//!
//! An agent names the keys of its configuration, since that is what its operator can mend. Here nobody has written one:
//! each key stands for an option.

/// Keys, in the order in which they are replaced, and what stands for them.
const OPTIONS: [(&str, &str); 6] = [
    // There are no options for these: what `up` starts has to find out by itself.
    (
        "set directory.kind to what it is, and directory.look_up.base to the DN below which accounts are, if names are \
         looked up",
        "let it be read without a bind, or run an agent by itself, whose configuration can say what it is",
    ),
    ("name a file in directory.anchors", "name a file with --directory-ca"),
    // There is no option for it: a directory is known by the name in its URL.
    (", or set server_name", ""),
    ("directory.servers.url", "--directory"),
    ("directory.anchors", "the file of --directory-ca"),
    ("directory.look_up.account", "--service-account"),
];

/// Says `text` with options in the place of keys.
pub(super) fn with_options(text: &str) -> String {
    OPTIONS
        .iter()
        .fold(text.to_owned(), |text, (key, option)| text.replace(key, option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_in_the_place_of_keys() {
        assert_eq!(
            with_options("use a name that it has in directory.servers.url, or set server_name"),
            "use a name that it has in --directory"
        );
        assert_eq!(
            with_options("put the issuing CA's certificate into directory.anchors"),
            "put the issuing CA's certificate into the file of --directory-ca"
        );
        assert_eq!(
            with_options("install ca-certificates, or name a file in directory.anchors"),
            "install ca-certificates, or name a file with --directory-ca"
        );
        let unknown = with_options(
            "it refuses to say what it is; set directory.kind to what it is, and directory.look_up.base to the DN below \
             which accounts are, if names are looked up",
        );
        assert!(!unknown.contains("directory."), "{unknown}");
        assert_eq!(with_options("it does not answer"), "it does not answer");
    }
}

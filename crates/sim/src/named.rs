//! Lists of things that people name and read about.

/// An enum whose variants have a name and, as their documentation, one line of what they are.
macro_rules! named {
    (
        $(#[doc = $about:literal])*
        pub enum $list:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $list {
            $($(#[doc = $doc])* $variant,)*
        }

        impl $list {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it is, in one line.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),*),)*
                }
            }
        }
    };
}

pub(crate) use named;

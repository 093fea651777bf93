//! What the README shows is what the tests compile and run.

#[test]
fn the_readme_shows_the_counter_as_it_is() {
    let readme = include_str!("../../../README.md");
    let counter = include_str!("../examples/counter.rs");
    let (_, block) = readme.split_once("```rust\n").expect("the README shows a program");
    let (block, _) = block.split_once("```\n").expect("the block ends");
    assert!(block == counter, "copy crates/node/examples/counter.rs into README.md");
    assert!(counter.lines().count() <= 60, "it is to stay short");
}

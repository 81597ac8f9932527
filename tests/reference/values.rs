//! The page of the chart's values: the table that helm-docs makes of `values.yaml`, which a test of the chart compares. Pure.

const HEAD: &str = "\
# Values of the chart

For those who install with Helm. Generated from the chart's `values.yaml` by helm-docs, and copied here by
`SFB_UPDATE=1 cargo test --test reference`.

`values.schema.json` refuses names and forms that are not known. As a dependency, the chart also takes `enabled`, for the condition of
its parent, and from `global` it takes `imageRegistry` and `imagePullSecrets`.

";

/// The page, from the README of the chart.
pub fn page(chart: &str) -> String {
    let rows = chart.lines().skip_while(|line| !line.starts_with("| Key |")).take_while(|line| line.starts_with('|'));
    rows.fold(HEAD.to_owned(), |page, row| page + row + "\n")
}

#[test]
fn the_table_alone_is_taken() {
    let page = page("# Chart\n\n| a |\n\n| Key | Type |\n|---|---|\n| x | int |\n\ntext\n| y |\n");
    assert!(page.ends_with("\n\n| Key | Type |\n|---|---|\n| x | int |\n"), "{page}");
}

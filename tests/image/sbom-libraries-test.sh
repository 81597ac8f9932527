#!/usr/bin/env bash
# What sbom-libraries.sh makes of a small SBOM, and what it refuses.
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/sbom.json" <<'JSON'
{
  "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "image",
  "packages": [
    {"name": "base-files", "SPDXID": "SPDXRef-Package-deb-base-files", "versionInfo": "13.8"},
    {"name": "salesforce-backup-operator", "SPDXID": "SPDXRef-Package-rust-crate-operator", "versionInfo": "0.1.0"}
  ],
  "relationships": [
    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Package-deb-base-files"}
  ]
}
JSON
printf '%s\t%s\t%s\t%s\n' glibc libc6-dev 2.41-12+deb13u1 arm64 gcc-14 libgcc-14-dev 14.2.0-19 arm64 >"$work/libraries"

failed=0
# says WHAT FILTER FILE: the filter is true of the file.
says() { jq -e "$2" "$3" >/dev/null || { echo "sbom-libraries-test.sh: not so: $1"; failed=1; }; }
# refuses WHAT WORDS SBOM LIBRARIES: it ends with these words, and prints nothing.
refuses() {
    local printed
    if printed=$(./sbom-libraries.sh "$3" "$4" 2>"$work/words"); then
        echo "sbom-libraries-test.sh: it takes $1"; failed=1
    elif [ -n "$printed" ] || ! grep -qF -- "$2" "$work/words"; then
        echo "sbom-libraries-test.sh: of $1 it says: $(<"$work/words")"; failed=1
    fi
}

./sbom-libraries.sh "$work/sbom.json" "$work/libraries" >"$work/whole.json"
says "what was there is there" '
    (.packages | map(.name)) == ["base-files", "salesforce-backup-operator", "glibc", "gcc-14"]
    and .name == "image" and .relationships[0].relationshipType == "DESCRIBES"' "$work/whole.json"
says "the C library has the version and licence that the builder has" '
    .packages[] | select(.name == "glibc")
    | .versionInfo == "2.41-12+deb13u1" and .licenseDeclared == "LGPL-2.1-or-later"
    and .externalRefs[0].referenceLocator == "pkg:deb/debian/libc6-dev@2.41-12%2Bdeb13u1?arch=arm64&upstream=glibc"' "$work/whole.json"
says "both are linked into the binary" '
    .relationships[1:] | length == 2
    and all(.[]; .spdxElementId == "SPDXRef-Package-rust-crate-operator" and .relationshipType == "STATIC_LINK")' "$work/whole.json"
says "each id is there once" '(.packages | map(.SPDXID)) | length == (unique | length)' "$work/whole.json"

jq '.packages[1].name = "other"' "$work/sbom.json" >"$work/unnamed.json"
./sbom-libraries.sh "$work/unnamed.json" "$work/libraries" >"$work/of-image.json"
says "without the binary they are of the image" \
    '.relationships[1] | .spdxElementId == "SPDXRef-DOCUMENT" and .relationshipType == "DESCRIBES"' "$work/of-image.json"

refuses "an SBOM twice" "it has them already" "$work/whole.json" "$work/libraries"
: >"$work/none"
refuses "no libraries" "no glibc" "$work/sbom.json" "$work/none"
printf 'musl\tmusl-dev\t1.2.5-3\tamd64\n' >"$work/other"
refuses "a library of an unknown licence" "of which licence is musl?" "$work/sbom.json" "$work/other"
printf 'glibc\tlibc6-dev\t\tamd64\n' >"$work/unversioned"
refuses "a library without a version" "not source, package, version and architecture" "$work/sbom.json" "$work/unversioned"
printf 'null\n' >"$work/null"
refuses "no SBOM" "no SPDX 2 with packages" "$work/null" "$work/libraries"

[ "$failed" = 0 ] || exit 1
echo "sbom-libraries.sh: what it adds and what it refuses are as they should be"

#!/usr/bin/env bash
# sbom-libraries.sh SBOM.spdx.json LIBRARIES: prints the SBOM with the libraries of C that are linked into the static binary. No
# scanner finds them there: nothing in the binary names them, and the image has no list of Debian's packages for them.
#
# LIBRARIES has one a line, as the image tells that has linked them (separated by tabs: source, package, version, architecture):
#
#   dpkg-query --show --showformat='${db:Status-Status}\t${source:Package}\t${Package}\t${Version}\t${Architecture}\n' \
#       libc6-dev 'libgcc-*-dev' | sed -n 's/^installed\t//p'
set -euo pipefail
export LC_ALL=C

# The package of the binary itself in the SBOM.
program=salesforce-backup-operator

die() { echo "sbom-libraries.sh: $*" >&2; exit 1; }

[ $# -eq 2 ] || die "usage: sbom-libraries.sh SBOM.spdx.json LIBRARIES"
jq -e '(.spdxVersion | startswith("SPDX-2.")) and (.packages | length > 1)' "$1" >/dev/null 2>&1 ||
    die "no SPDX 2 with packages: $1"

# By the source, because packages change their names with versions. One whose licence nobody has looked up is not passed over.
licence() {
    case $1 in
        glibc) echo LGPL-2.1-or-later ;;
        gcc-[0-9]*) echo GPL-3.0-or-later WITH GCC-exception-3.1 ;; # what unwinds the stack; the exception lets it be linked anywhere
        *) die "of which licence is $1?" ;;
    esac
}

libraries=() sources=" "
while IFS=$'\t' read -r source package version architecture rest; do
    [[ $source =~ ^[a-z0-9][a-z0-9.+-]+$ && $package =~ ^[a-z0-9][a-z0-9.+-]+$ && $version =~ ^[0-9][A-Za-z0-9.+:~-]*$ &&
        $architecture =~ ^[a-z0-9]+$ && -z $rest ]] || die "not source, package, version and architecture: $source $package $version"
    licence=$(licence "$source")
    libraries+=("$(jq -nc --arg source "$source" --arg package "$package" --arg version "$version" \
        --arg architecture "$architecture" --arg licence "$licence" '{
            name: $source,
            SPDXID: "SPDXRef-Package-static-\($package)",
            versionInfo: $version,
            supplier: "Organization: Debian",
            downloadLocation: "NOASSERTION",
            filesAnalyzed: false,
            licenseConcluded: "NOASSERTION",
            licenseDeclared: $licence,
            copyrightText: "NOASSERTION",
            comment: "Linked statically into the binary, from the package \($package) of the image that builds it.",
            externalRefs: [{
                referenceCategory: "PACKAGE-MANAGER",
                referenceType: "purl",
                referenceLocator: "pkg:deb/debian/\($package)@\($version | @uri)?arch=\($architecture)&upstream=\($source)"
            }]
        }')")
    sources+="$source "
done <"$2"
[[ $sources == *" glibc "* ]] || die "no glibc in $2, and every static binary of glibc's target has it"

jq --arg program "$program" '
    # Of the binary where the scanner names it, else of the image.
    ([.packages[] | select(.name == $program) | .SPDXID] + [.SPDXID])[0] as $binary
    | ($ARGS.positional | map(fromjson)) as $libraries
    | (.packages | map(.SPDXID)) as $known
    | if any($libraries[]; .SPDXID | IN($known[])) then error("it has them already") else . end
    | .packages += $libraries
    | .relationships += ($libraries | map({
        spdxElementId: $binary,
        relationshipType: (if $binary == "SPDXRef-DOCUMENT" then "DESCRIBES" else "STATIC_LINK" end),
        relatedSpdxElement: .SPDXID
    }))' "$1" --args "${libraries[@]}"

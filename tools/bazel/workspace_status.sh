#!/bin/sh
# STABLE_: programs are linked anew when the commit changes, and only programs.
commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
git diff --quiet HEAD 2>/dev/null || commit="$commit+changes"
echo "STABLE_GIT_COMMIT $commit"

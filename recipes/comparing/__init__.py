"""What `compare_versions.py` asks two versions of the package, and how it compares the answers.

A version is asked in processes of its own, by its command line and by the names
that `untracr` itself exports, and by nothing else: its inner modules may be
elsewhere in the other version.
"""

# The symbols file of libvconnpool0: which version each function came with, as abi/vconnpool.map says.
BEGIN {
    print "libvconnpool.so.0 libvconnpool0 #MINVER#"
    print "* Build-Depends-Package: libvconnpool-dev"
}

/^VCONNPOOL_[0-9.]+ \{/ {
    version = $1
    since = substr(version, length("VCONNPOOL_") + 1) ".0"
    print " " version "@" version " " since
}

/^ +vcp_/ {
    sub(/;$/, "", $1)
    print " " $1 "@" version " " since
}

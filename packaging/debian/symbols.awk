# The symbols file of libvconnpool0: which version each function came with, as abi/VERSION/symbols has recorded it.
BEGIN {
    print "libvconnpool.so.0 libvconnpool0 #MINVER#"
    print "* Build-Depends-Package: libvconnpool-dev"
}

{
    split($1, name, "@@")
    since = substr(name[2], length("VCONNPOOL_") + 1) ".0"
    if (!(name[2] in seen)) print " " name[2] "@" name[2] " " since
    seen[name[2]]
    print " " name[1] "@" name[2] " " since
}

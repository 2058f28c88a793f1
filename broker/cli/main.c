#include "broker/cli/command.h"

#include <locale.h>
#include <unistd.h>

int main(int argc, char **argv) {
    setlocale(LC_CTYPE, "C.UTF-8"); /* the width of characters; numbers stay as in C */
    return mr_cli_main(argc, argv, (const char *const *)environ);
}
